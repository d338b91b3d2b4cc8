#include "cli/number_checks.h"

#include <cmath>

namespace callie::cli {
namespace {

CLI::Validator above(bool zero_too, const char* name) {
  // CLI11's own checks print both ends of the range, and the upper one is the largest double.
  return CLI::Validator(
      [zero_too](std::string& input) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(input, value) && std::isfinite(value) && (value > 0 || (zero_too && value == 0))) return {};
        return input + (zero_too ? " is not a number of 0 or more" : " is not a number above 0");
      },
      name);
}

}  // namespace

CLI::Validator positive_number() { return above(false, "POSITIVE"); }
CLI::Validator non_negative_number() { return above(true, "NONNEGATIVE"); }

}  // namespace callie::cli
