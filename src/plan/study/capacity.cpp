#include "plan/study/capacity.h"

#include <cmath>

#include "plan/output/summary.h"
#include "plan/sim/simulator.h"

namespace callie::plan {

StatusOr<CapacityAnswer> capacity(const std::string& path, const std::vector<Override>& overrides) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(Config config, loader.load(path, overrides));
  if (config.spec.slo.bounds.empty()) return invalid_argument("{}: slo: missing: capacity needs an objective", path);
  CapacityAnswer answer;
  const auto meets = [&](double scale, bool& ok) -> Status {
    config.spec.workload.scale = scale;
    CALLIE_ASSIGN_OR_RETURN(const SimResult r, simulate(config.spec));
    ++answer.runs;
    answer.simulated_requests += r.finished;
    ok = feasible(config.spec, r);
    if (ok) {
      answer.scale = scale;
      answer.requests_per_s = r.elapsed_s > 0 ? static_cast<double>(r.arrived) / r.elapsed_s : 0;
    }
    return ok_status();
  };
  double low = 0, high = config.spec.workload.scale;
  bool ok = false;
  CALLIE_RETURN_IF_ERROR(meets(high, ok));
  for (int i = 0; ok && i < 40; ++i) {
    low = high;
    high *= 2;
    CALLIE_RETURN_IF_ERROR(meets(high, ok));
  }
  for (int i = 0; low == 0 && i < 30; ++i) {
    CALLIE_RETURN_IF_ERROR(meets(high / 2, ok));
    (ok ? low : high) = high / 2;
  }
  if (low == 0) return invalid_argument("{}: the SLO cannot be met at any rate", path);
  while (high / low > 1.01) {
    const double middle = std::sqrt(low * high);
    CALLIE_RETURN_IF_ERROR(meets(middle, ok));
    (ok ? low : high) = middle;
  }
  return answer;
}

StatusOr<int> smallest_count(const std::string& path, const std::vector<Override>& overrides,
                             const std::string& client, int64_t& simulated) {
  ConfigLoader loader;
  CALLIE_ASSIGN_OR_RETURN(Config config, loader.load(path, overrides));
  if (config.spec.slo.bounds.empty()) return invalid_argument("{}: slo: missing: capacity needs an objective", path);
  GroupSpec* group = nullptr;
  for (GroupSpec& g : config.spec.groups) {
    if (g.name == client) group = &g;
  }
  if (!group) return invalid_argument("{}: no client \"{}\"", path, client);
  const auto meets = [&](int count) -> StatusOr<bool> {
    group->count = count;
    CALLIE_ASSIGN_OR_RETURN(const SimResult r, simulate(config.spec));
    simulated += r.finished;
    return feasible(config.spec, r);
  };
  int low = 0, high = 1;
  while (true) {
    CALLIE_ASSIGN_OR_RETURN(const bool ok, meets(high));
    if (ok) break;
    low = high;
    high *= 2;
    if (high > 4096) return invalid_argument("{}: 4096 clients do not meet the SLO either", path);
  }
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    CALLIE_ASSIGN_OR_RETURN(const bool ok, meets(middle));
    (ok ? high : low) = middle;
  }
  return high;
}

}  // namespace callie::plan
