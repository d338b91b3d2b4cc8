#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/generate/generate.h"
#include "cli/assert_commands.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "core/thread_pool.h"

namespace callie::cli {
namespace {

using assertions::GenerateOptions;
using assertions::GenerateReport;

struct Options {
  GenerateOptions generate;
  std::string mode = "full";
  bool json = false;
};

Status run(Options& options) {
  GenerateOptions& generate = options.generate;
  generate.vert_compat = options.mode == "vert-compat";
  if (generate.vert_compat && generate.tier > 2) return error(StatusCode::kUsage, "--mode vert-compat knows the tiers 1 and 2");
  install_interrupt_handler();
  Progress progress("pairs", generate.count, "pair", 1, false);
  StatusOr<GenerateReport> report = assertions::generate(generate, [&](int64_t done) { progress.update(done); });
  progress.finish();
  if (!report.ok()) return report.status();
  const double rate = report->seconds > 0 ? static_cast<double>(report->pairs) / report->seconds : 0;
  if (options.json) {
    const Json out{{"pairs", report->pairs}, {"resumed", report->resumed}, {"candidates", report->candidates},
                   {"duplicates", report->duplicates}, {"assertions", report->assertions},
                   {"assertion_mutants", report->assertion_mutants}, {"design_mutants", report->design_mutants},
                   {"equivalent_mutants", report->equivalent}, {"seconds", report->seconds}, {"pairs_per_second", rate}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("%lld pairs in %s (%lld made now, %.0f a second): %lld assertions proven, %lld wrong assertions and %lld wrong designs refuted\n",
                static_cast<long long>(report->pairs + report->resumed), generate.output.c_str(), static_cast<long long>(report->pairs), rate,
                static_cast<long long>(report->assertions), static_cast<long long>(report->assertion_mutants),
                static_cast<long long>(report->design_mutants));
  }
  return ok_status();
}

}  // namespace

void add_assert_generate(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  GenerateOptions& generate = options->generate;
  generate.threads = ThreadPool::physical_cores();
  CLI::App* command = verb.add_subcommand("generate", "Write pairs of code and proven assertions");
  command->add_option("-n,--count", generate.count, "Pairs")->required()->check(CLI::Range(int64_t{1}, int64_t{100000000}));
  command->add_option("-o,--output", generate.output, "The JSONL file")->required();
  command->add_option("--seed", generate.seed, "Seed: equal options give equal bytes")->capture_default_str();
  command->add_option("--mode", options->mode, "full: an assertion for each path and target; vert-compat: one for each branch")
      ->capture_default_str()->check(CLI::IsMember({"full", "vert-compat"}));
  command->add_option("--tier", generate.tier, "1 VERT's shapes, 2 real control shapes, 3 several cycles, 4 small machines; default: all in turn (vert-compat: 1)")
      ->check(CLI::Range(1, 4));
  command->add_option("--shapes", generate.shapes, "Shapes that `callie assert harvest` wrote (default: the built-in bank)");
  command->add_flag("--train-test", generate.train_test, "Put every tenth pair into a test split that shares no shape, name, header or repository with the rest");
  command->add_flag("--timings", generate.timings, "Write the milliseconds of each proof; the file is then not reproducible");
  command->add_option("--threads", generate.threads, "Threads")->capture_default_str()->check(CLI::Range(1, 1024));
  command->add_flag("--json", options->json, "Print a summary as JSON");
  command->footer("Example: callie assert generate -n 1000 --seed 7 --train-test -o pairs.jsonl");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
