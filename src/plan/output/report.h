#pragma once

#include <string>
#include <vector>

#include "plan/config/config.h"
#include "plan/replay/replay.h"
#include "plan/sim/result.h"
#include "plan/study/sweep.h"

namespace callie::plan {

/// One point of the load curve: the same configuration at another arrival rate.
struct LoadPoint {
  double offered_per_s = 0, served_per_s = 0;
  double ttft_p50 = 0, ttft_p99 = 0, tpot_p99 = 0, e2e_p99 = 0;
  bool slo_met = false, saturated = false;
};

/// Simulates `config` at `steps` arrival rates between a fifth and twice its own, with at most `requests` requests each.
/// kCancelled on Ctrl-C.
StatusOr<std::vector<LoadPoint>> load_curve(const Config& config, int steps, int64_t requests, bool quiet);

/// What a report shows. The run needs per_request, samples and steps (SimSpec::trace_steps).
struct ReportInput {
  const Config* config = nullptr;
  const SimResult* result = nullptr;
  std::string config_text;             ///< the YAML as read, shown at the end
  std::vector<LoadPoint> load;         ///< may be empty
  std::vector<SweepPoint> sweep;       ///< may be empty
  std::vector<std::pair<std::string, ReplayResult>> replays;  ///< recorded runs with their simulation; may be empty
};

/// The self-contained page: verdict, distributions, schedule, memory, waterfall, cost, load curve, Pareto front and the
/// errors against recorded runs.
std::string report_html(const ReportInput& input);

}  // namespace callie::plan
