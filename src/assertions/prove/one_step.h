#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "assertions/prove/prove.h"

/// A fast and complete decision of assertions that look at a bounded number of cycles, in a design whose registers
/// start anywhere: every run of that length is a run of the design, so one query over the unrolled cycles decides, and
/// all assertions of a module share one graph, one random simulation and one incremental solver.
namespace callie::assertions {

struct StepResult {
  enum class Kind : uint8_t { kProven, kRefuted, kUndecided } kind = Kind::kUndecided;
  std::string name;
  bool fires = true;              ///< the antecedent or guard can be true; only where nothing was refuted
  bool by_simulation = false;     ///< refuted by a random run, else by the solver
  bool self_contained = true;     ///< refuted by a run that holds every value that the assertion remembers
  std::string reason;             ///< undecided: the construct
  std::optional<Witness> witness; ///< refuted, when asked for
};

struct StepOptions {
  uint64_t seed = 1;              ///< of the random runs: witnesses depend on it, verdicts do not
  bool witnesses = true;
  bool check_fires = true;
  bool stop_at_refuted = false;   ///< one refuted assertion is enough: the others stay undecided
};

/// Decides the assertions of the first module of `unit`; the verdicts are those of `prove` where neither says
/// "undecided". A check is undecided when it is outside of the subset, depends on an unknown value, or its history
/// does not end (`until`, initialized counters).
///
/// An assertion on the other edge of the design's clock is decided for runs in which inputs change only before the
/// design's edge: it then samples the registers behind the edge. Refuted there it is refuted; otherwise undecided.
/// Errors: as prove.
StatusOr<std::vector<StepResult>> decide_steps(const SourceSet& sources, const ast::Unit& unit, const StepOptions& options = {});

}  // namespace callie::assertions
