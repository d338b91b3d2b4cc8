#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/mutate/decide.h"
#include "assertions/syntax/parser.h"
#include "cli/assert_commands.h"
#include "cli/number_checks.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/progress.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  std::vector<std::string> files;
  std::string top, output, what = "both";
  double time_limit_s = 10;
};

Status run(const Options& options) {
  SourceSet sources;
  CALLIE_ASSIGN_OR_RETURN(const ast::Unit unit, parse_files(sources, options.files));
  MutateOptions mutate;
  mutate.assertions = options.what != "designs";
  mutate.designs = options.what != "assertions";
  mutate.prove.top = options.top;
  mutate.prove.time_limit_s = options.time_limit_s;
  install_interrupt_handler();
  Progress progress("mutants", 0, "variants");
  mutate.progress = [&](int64_t done, int64_t total) {
    progress.set_total(total);
    progress.update(done);
  };
  CALLIE_ASSIGN_OR_RETURN(const std::vector<DecidedMutant> mutants, decide_mutants(sources, unit, mutate));
  std::string lines;
  for (const DecidedMutant& mutant : mutants) {
    lines += to_json(mutant).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  if (options.output.empty()) {
    std::fputs(lines.c_str(), stdout);
    return ok_status();
  }
  return write_text_file(options.output, lines);
}

}  // namespace

void add_assert_mutate(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("mutate", "Write wrong variants of assertions and of their design, each with its verdict");
  command->add_option("FILE", options->files, "SystemVerilog files")->required();
  command->add_option("--top", options->top, "The module to change (default: the last)");
  command->add_option("--what", options->what, "assertions, designs or both")->capture_default_str()->check(CLI::IsMember({"assertions", "designs", "both"}));
  command->add_option("--time-limit", options->time_limit_s, "Seconds for each assertion")->capture_default_str()->check(positive_number());
  command->add_option("-o,--output", options->output, "JSON lines (default: standard output)");
  command->footer("Example: callie assert mutate counter.sv -o mutants.jsonl");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
