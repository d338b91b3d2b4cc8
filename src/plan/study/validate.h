#pragma once

#include <string>
#include <vector>

#include "core/status.h"

namespace callie::plan {

struct ValidateOptions {
  std::string data;            ///< folder with llmservingsim/, vidur/ and traces/; what it lacks is skipped
  int64_t requests = 100'000;  ///< per seed of a queueing check; bounds are scaled to a million by the square root
};

/// One line of the table: `seen` is in order when it is at most `bar`.
struct Check {
  std::string name, what, note;
  double seen = 0, bar = 0;  ///< per cent
  bool skipped = false;
  bool passed() const { return !skipped && seen <= bar; }
};

/// Everything that can be checked on the data at hand: queueing theory, merged against single steps, recorded runs of real
/// engines, operator profiles and collectives. Errors: those of data that is there and cannot be read.
StatusOr<std::vector<Check>> validate(const ValidateOptions& options);

}  // namespace callie::plan
