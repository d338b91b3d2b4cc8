#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plan/sim/simulator.h"

namespace callie::plan {

/// A system whose mean queueing theory knows exactly.
struct ReferenceCase {
  std::string name;
  double theory = 0;  ///< what `measure` should give in the mean
  double bound = 0;   ///< relative error allowed over ten seeds of a million requests each
  std::function<SimSpec(uint64_t seed, int64_t requests)> make;
  std::function<double(const SimResult&)> measure;
};

/// M/G/1 and M/D/1 at four loads (Pollaczek-Khinchine), M/M/c (Erlang C), a processor-sharing link, a three-stage Jackson
/// network, and admission control as M/M/c/c (Erlang B).
std::vector<ReferenceCase> reference_cases();

/// Mean over seeds 1..10 and half the width of its 99 % interval (Student's t with 9 degrees of freedom).
struct SeedEstimate {
  double mean = 0, half_width = 0;
  bool little = true;  ///< Little's law held exactly, in the system and at each client
};
StatusOr<SeedEstimate> over_ten_seeds(const ReferenceCase& reference, int64_t requests);

/// Probability of waiting in M/M/c with offered load `offered` < c.
double erlang_c(int c, double offered);

}  // namespace callie::plan
