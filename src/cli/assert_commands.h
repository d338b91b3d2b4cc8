#pragma once

#include "cli/verbs.h"

namespace callie::cli {

/// The subcommands of `callie assert`, one file each.
void add_assert_prove(CLI::App& verb, Action& action);

}  // namespace callie::cli
