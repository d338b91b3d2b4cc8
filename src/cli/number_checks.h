#pragma once

#include <CLI/CLI.hpp>

namespace callie::cli {

/// For options with a real or a whole number: finite and above 0, else the message "x is not a number above 0".
CLI::Validator positive_number();

/// Finite and not below 0, else "x is not a number of 0 or more".
CLI::Validator non_negative_number();

}  // namespace callie::cli
