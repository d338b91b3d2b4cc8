#include <CLI/CLI.hpp>

#include "cli/assert_commands.h"
#include "cli/verbs.h"

namespace callie::cli {

void add_assert(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand(
      "assert", "SystemVerilog assertions: prove them, make data sets of them, judge those of models");
  verb->require_subcommand(1);
  verb->footer("Example: callie assert prove counter.sv --json");
  add_assert_prove(*verb, action);
  add_assert_generate(*verb, action);
  add_assert_mutate(*verb, action);
  add_assert_harvest(*verb, action);
  add_assert_score(*verb, action);
  add_assert_ask(*verb, action);
  add_assert_report(*verb, action);
}

}  // namespace callie::cli
