#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include "plan/study/small_systems.h"

namespace callie::plan {

inline bool full_tests() { return std::getenv("CALLIE_FULL") != nullptr; }

/// Requests given one by one: arrival in microseconds, prompt, output.
struct Given {
  double us;
  int prompt, output;
};
inline void given(SimSpec& spec, const std::vector<Given>& requests) {
  auto trace = std::make_shared<Trace>();
  for (const Given& g : requests) {
    Trace::Row row;
    row.arrival_s = g.us * 1e-6;
    row.prompt = g.prompt;
    row.output = g.output;
    trace->rows.push_back(row);
  }
  trace->source = "test";
  spec.workload.trace = trace;
  spec.workload.arrivals.kind = ArrivalSpec::Kind::kTrace;
}

}  // namespace callie::plan
