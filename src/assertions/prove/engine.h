#pragma once

#include <string>
#include <vector>

#include "assertions/prove/net.h"

namespace callie::assertions {

/// One safety question: can `bad` become true while `assume` has held in every cycle up to then?
struct Question {
  Lit bad = kFalse;
  Lit assume = kTrue;
  bool any_state = false;
};

struct EngineLimits {
  int max_bmc_depth = 200;
  int max_induction = 12;
  bool use_pdr = true;
  double time_limit_s = 60;
};

struct Answer {
  enum class Kind : uint8_t { kUnreachable, kReachable, kUnknown } kind = Kind::kUnknown;
  std::string method;
  int depth = 0;
  std::string reason;
  std::vector<std::vector<bool>> inputs;   ///< [cycle][input of the net]: the trace when reachable
  std::vector<bool> initial;               ///< [state of the net]
  bool needs_unknown = false;              ///< reachable only by the choice of an x value
  Span unknown_span;
};

/// Bounded model checking interleaved with k-induction, then property-directed reachability; all on CaDiCaL in
/// process. Traces are replayed on the graph before they are returned.
Answer decide(const Net& net, const Question& question, const EngineLimits& limits);

/// Property-directed reachability (IC3) for `question`; kUnknown when the time is over.
Answer decide_by_pdr(const Net& net, const Question& question, double time_limit_s);

/// The nodes below some roots and, through the states, below their next values; ascending.
struct Cone {
  std::vector<uint32_t> nodes;
  std::vector<int> states, inputs;
};
Cone cone_of(const Net& net, const std::vector<Lit>& roots);

/// Evaluates the whole graph in one cycle: value by node.
void simulate(const Net& net, const std::vector<bool>& inputs, const std::vector<bool>& states,
              std::vector<bool>& value);

}  // namespace callie::assertions
