#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/harvest/harvest.h"
#include "cli/assert_commands.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/thread_pool.h"

namespace callie::cli {
namespace {

struct Options {
  assertions::HarvestOptions harvest;
  std::string output;
  bool json = false, verbose = false;
};

Status run(const Options& options) {
  install_interrupt_handler();
  Progress progress("files", 0, "file");
  StatusOr<assertions::HarvestReport> report = assertions::harvest(options.harvest, [&](int64_t done) { progress.update(done); });
  if (!report.ok()) return report.status();
  progress.finish();
  CALLIE_RETURN_IF_ERROR(write_text_file(options.output, assertions::write_shapes(report->bank)));
  if (options.verbose) {
    for (const std::string& message : report->messages) std::fprintf(stderr, "%s\n", message.c_str());
  }
  const int shapes = static_cast<int>(report->bank.shapes.size()), control = assertions::count_control_shapes(report->bank);
  const double megabytes = static_cast<double>(report->bytes) / 1e6;
  const double share = report->blocks > 0 ? 100.0 * (report->blocks - report->blocks_broken) / report->blocks : 100;
  if (options.json) {
    const Json out{{"files", report->files}, {"files_skipped", report->files_skipped}, {"bytes", report->bytes}, {"always_blocks", report->blocks},
                   {"parsed", report->blocks - report->blocks_broken}, {"with_control", report->blocks_with_control}, {"shapes", shapes},
                   {"control_shapes", control}, {"seconds", report->seconds}, {"mb_per_second", megabytes / report->seconds}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("%d files, %.1f MB, %.1f MB/s: %d always blocks, %.2f %% parsed, %d with if or case, %d shapes (%d control structures)\n",
                report->files, megabytes, megabytes / report->seconds, report->blocks, share, report->blocks_with_control, shapes, control);
  }
  return ok_status();
}

}  // namespace

void add_assert_harvest(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  assertions::HarvestOptions& harvest = options->harvest;
  harvest.threads = ThreadPool::physical_cores();
  CLI::App* command = verb.add_subcommand("harvest", "Collect the control structures of real designs");
  command->add_option("DIR", harvest.folder, "Folder with .v and .sv files")->required();
  command->add_option("-o,--output", options->output, "The shapes: JSON lines for `generate --shapes`")->required();
  command->add_option("--repo", harvest.repo, "Name in the provenance (default: the folder's)");
  command->add_option("--commit", harvest.commit, "Commit or version in the provenance");
  command->add_option("--spdx", harvest.spdx, "Licence of files that do not name one");
  command->add_option("--threads", harvest.threads, "Threads")->capture_default_str()->check(CLI::Range(1, 1024));
  command->add_flag("--verbose", options->verbose, "Print why blocks and files were left out");
  command->add_flag("--json", options->json, "Print a summary as JSON");
  command->footer("Example: callie assert harvest rtl/ -o shapes.jsonl --repo ibex --spdx Apache-2.0");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
