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

class SweepRanks;

struct SweepOptions {
  std::string csv;              ///< file to write; empty: none
  bool resume = false;          ///< rows that are in it already, if it is there, are not run again
  int threads = 0;              ///< simulations at the same time in this process; 0: one a processor
  bool quiet = false;           ///< no progress line
  SweepRanks* ranks = nullptr;  ///< other processes that take their share; this one is rank 0
};

/// Simulates every combination of `sweep.grid` (with `sweep.halving`: short runs first, of which the better half goes on)
/// and appends each finished one to the CSV file, one row per configuration; at the end the rows stand in the grid's order.
/// Ctrl-C keeps what is finished: kCancelled.
StatusOr<std::vector<SweepPoint>> sweep(const std::string& config, const SweepOptions& options = {});

/// What ranks other than 0 do during `sweep` of the same configuration.
void sweep_as_other_rank(SweepRanks& ranks, const std::string& config);

/// The best feasible point by `sweep.maximise`, `minimise` and `per`; -1 when none meets the SLO.
int best_point(const std::vector<SweepPoint>& points, const SweepSpec& spec);

/// How far a configuration's figures depend on the random seed: half widths of 95 % intervals over several seeds.
struct SeedSpread {
  int seeds = 0, slo_met = 0;
  double throughput = 0, ttft_p99 = 0, tpot_p99 = 0;
};
StatusOr<SeedSpread> spread_over_seeds(const std::string& config, const std::vector<Override>& changes, int seeds);

}  // namespace callie::plan
