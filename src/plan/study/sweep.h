#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "plan/config/config.h"

namespace callie::plan {

/// One configuration of a sweep and what came out.
struct SweepPoint {
  std::vector<Override> changes;
  double throughput = 0, output_tokens = 0, goodput = 0;
  double ttft_p99 = 0, tpot_p99 = 0, e2e_p99 = 0;
  double usd_per_million = 0, joules_per_token = 0, usd_per_hour = 0;
  bool slo_met = false, saturated = false;
  std::string error;  ///< why it could not run
};

/// Simulates every combination of `sweep.grid`, on all processors (with `sweep.halving`: short runs first, of which the
/// better half goes on), and appends each finished one to `csv` (one row per
/// configuration; rows already there are not run again when `resume`). Ctrl-C keeps what is finished: kCancelled.
StatusOr<std::vector<SweepPoint>> sweep(const std::string& config, const std::string& csv, bool resume, int threads,
                                        bool quiet);

/// The best feasible point by `sweep.maximise`, `minimise` and `per`; -1 when none meets the SLO.
int best_point(const std::vector<SweepPoint>& points, const SweepSpec& spec);

/// How far a configuration's figures depend on the random seed: half widths of 95 % intervals over several seeds.
struct SeedSpread {
  int seeds = 0, slo_met = 0;
  double throughput = 0, ttft_p99 = 0, tpot_p99 = 0;
};
StatusOr<SeedSpread> spread_over_seeds(const std::string& config, const std::vector<Override>& changes, int seeds);

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
