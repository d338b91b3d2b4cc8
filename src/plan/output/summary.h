#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "plan/config/config.h"
#include "plan/sim/result.h"

namespace callie::plan {

/// Which resource limits the run, and whether the offered load exceeds it.
struct Verdict {
  std::string bottleneck;     ///< name of the busiest group or link
  double utilisation = 0;     ///< of it
  bool saturated = false;     ///< waiting requests grow until the last arrival
  std::string text;
};
Verdict find_bottleneck(const SimSpec& spec, const SimResult& result);

/// Share of the bounds of `slo:` that hold, and each of them.
struct SloOutcome {
  bool all_met = true;
  struct Line {
    std::string name;
    double limit_ms, value_ms;
    bool met;
  };
  std::vector<Line> lines;
  double attainment = 1;      ///< share of the requests that met every per-request limit
  double goodput = 0;         ///< those, per second
};
SloOutcome check_slo(const SimSpec& spec, const SimResult& result);

/// The contract of `callie plan run --json` (docs/planner/README.md).
Json summary_json(const Config& config, const SimResult& result);
/// The same for people.
std::string summary_text(const Config& config, const SimResult& result);
/// Blocks, weights, load and bottleneck before and after: `--explain`.
std::string explain_text(const Config& config, const SimResult& result);

/// Whether a run meets every objective, serves every request and is not saturated.
bool feasible(const SimSpec& spec, const SimResult& result);

}  // namespace callie::plan
