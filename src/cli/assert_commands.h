#pragma once

#include "cli/verbs.h"

namespace callie::cli {

/// The subcommands of `callie assert`, one file each.
void add_assert_prove(CLI::App& verb, Action& action);
void add_assert_generate(CLI::App& verb, Action& action);
void add_assert_mutate(CLI::App& verb, Action& action);
void add_assert_harvest(CLI::App& verb, Action& action);
void add_assert_score(CLI::App& verb, Action& action);
void add_assert_ask(CLI::App& verb, Action& action);
void add_assert_report(CLI::App& verb, Action& action);

}  // namespace callie::cli
