#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "plan/config/config.h"

namespace callie::plan {

struct CapacityAnswer {
  double scale = 0;         ///< largest workload.scale that meets the SLO
  double requests_per_s = 0;
  int64_t simulated_requests = 0;
  int runs = 0;
};
/// Largest arrival rate under the SLO, by doubling and bisection of workload.scale to 1 %; the SLO is taken as monotone
/// in the rate. Errors: kInvalidArgument when slo: is missing or cannot be met at any rate.
StatusOr<CapacityAnswer> capacity(const std::string& config, const std::vector<Override>& overrides);

/// Smallest `count` of the client group that meets the SLO at the configured rate, by doubling and bisection.
StatusOr<int> smallest_count(const std::string& config, const std::vector<Override>& overrides,
                             const std::string& client, int64_t& simulated_requests);

}  // namespace callie::plan
