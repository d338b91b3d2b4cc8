#include "assertions/prove/engine.h"

#include <algorithm>
#include <cadical.hpp>
#include <chrono>

#include "assertions/prove/deadline.h"

namespace callie::assertions {
namespace {

/// The cone of a question, copied for one cycle after the other into a solver.
class Unrolling {
 public:
  Unrolling(const Net& net, const Cone& cone, bool from_initial) : net_(net), cone_(cone), from_initial_(from_initial) {
    solver.set("quiet", 1);
    true_ = ++variables_;
    solver.add(true_);
    solver.add(0);
    slot_.assign(net.aig.size(), -1);
    for (size_t i = 0; i < cone.nodes.size(); ++i) slot_[cone.nodes[i]] = static_cast<int>(i);
  }

  void add_frame() {
    const size_t t = frames_.size();
    frames_.emplace_back(cone_.nodes.size(), 0);
    std::vector<int>& frame = frames_.back();
    for (size_t i = 0; i < cone_.nodes.size(); ++i) {
      const uint32_t n = cone_.nodes[i];
      if (n == 0) {
        frame[i] = -true_;
      } else if (net_.aig.is_and(n)) {
        frame[i] = conjunction(at(frame, net_.aig.input0(n)), at(frame, net_.aig.input1(n)));
      } else if (const int s = net_.state_of_node[n]; s >= 0) {
        const Net::StateBit& state = net_.states[s];
        if (t > 0) frame[i] = at(frames_[t - 1], state.next);
        else if (from_initial_ && state.init < 2) frame[i] = state.init ? true_ : -true_;
        else frame[i] = ++variables_;
      } else {
        frame[i] = ++variables_;
      }
    }
  }

  int literal(size_t t, Lit lit) const { return at(frames_[t], lit); }
  bool has(Lit lit) const { return slot_[node_of(lit)] >= 0; }
  size_t frames() const { return frames_.size(); }
  bool is_true(int lit) const { return lit == true_; }
  bool is_false(int lit) const { return lit == -true_; }
  void require(int lit) {
    solver.add(lit);
    solver.add(0);
  }
  bool value(int lit) {
    if (lit == true_) return true;
    if (lit == -true_) return false;
    return solver.val(std::abs(lit)) > 0 ? lit > 0 : lit < 0;
  }

  CaDiCaL::Solver solver;

 private:
  int at(const std::vector<int>& frame, Lit lit) const {
    const int v = frame[slot_[node_of(lit)]];
    return is_inverted(lit) ? -v : v;
  }
  int conjunction(int a, int b) {
    if (a == -true_ || b == -true_ || a == -b) return -true_;
    if (a == true_ || a == b) return b;
    if (b == true_) return a;
    const int v = ++variables_;
    for (const auto& clause : {std::vector<int>{-v, a}, {-v, b}, {v, -a, -b}}) {
      for (int lit : clause) solver.add(lit);
      solver.add(0);
    }
    return v;
  }

  const Net& net_;
  const Cone& cone_;
  bool from_initial_;
  int true_ = 0, variables_ = 0;
  std::vector<int> slot_;
  std::vector<std::vector<int>> frames_;
};

Answer read_trace(const Net& net, const Cone& cone, Unrolling& u, size_t depth) {
  Answer out;
  out.kind = Answer::Kind::kReachable;
  out.method = "bmc";
  out.depth = static_cast<int>(depth);
  out.initial.assign(net.states.size(), false);
  for (size_t s = 0; s < net.states.size(); ++s) {
    if (u.has(net.states[s].lit)) out.initial[s] = u.value(u.literal(0, net.states[s].lit));
    else out.initial[s] = net.states[s].init == 1;
  }
  for (size_t t = 0; t <= depth; ++t) {
    std::vector<bool> row(net.inputs.size(), false);
    for (int i : cone.inputs) row[i] = u.value(u.literal(t, net.inputs[i].lit));
    out.inputs.push_back(std::move(row));
  }
  return out;
}

}  // namespace

Cone cone_of(const Net& net, const std::vector<Lit>& roots) {
  Cone out;
  std::vector<uint8_t> seen(net.aig.size(), 0);
  std::vector<uint32_t> stack;
  const auto push = [&](Lit lit) {
    if (seen[node_of(lit)]) return;
    seen[node_of(lit)] = 1;
    stack.push_back(node_of(lit));
  };
  for (Lit root : roots) push(root);
  while (!stack.empty()) {
    const uint32_t n = stack.back();
    stack.pop_back();
    out.nodes.push_back(n);
    if (net.aig.is_and(n)) {
      push(net.aig.input0(n));
      push(net.aig.input1(n));
    } else if (n != 0) {
      if (const int s = net.state_of_node[n]; s >= 0) {
        out.states.push_back(s);
        push(net.states[s].next);
      } else {
        out.inputs.push_back(net.input_of_node[n]);
      }
    }
  }
  std::sort(out.nodes.begin(), out.nodes.end());
  std::sort(out.states.begin(), out.states.end());
  std::sort(out.inputs.begin(), out.inputs.end());
  return out;
}

void simulate(const Net& net, const std::vector<bool>& inputs, const std::vector<bool>& states, std::vector<bool>& value) {
  value.assign(net.aig.size(), false);
  const auto get = [&](Lit lit) { return value[node_of(lit)] != is_inverted(lit); };
  for (uint32_t n = 1; n < net.aig.size(); ++n) {
    if (net.aig.is_and(n)) value[n] = get(net.aig.input0(n)) && get(net.aig.input1(n));
    else if (net.state_of_node[n] >= 0) value[n] = states[net.state_of_node[n]];
    else value[n] = inputs[net.input_of_node[n]];
  }
}

Answer decide(const Net& net, const Question& question, const EngineLimits& limits) {
  Answer out;
  if (question.bad == kFalse || question.assume == kFalse) {
    out.kind = Answer::Kind::kUnreachable;
    out.method = "constant";
    return out;
  }
  Deadline deadline(limits.time_limit_s);
  const Cone cone = cone_of(net, {question.bad, question.assume});
  Unrolling base(net, cone, !question.any_state), step(net, cone, false);
  base.solver.connect_terminator(&deadline);
  step.solver.connect_terminator(&deadline);
  std::vector<int> unknown;
  for (int i : cone.inputs) {
    if (net.inputs[i].is_unknown) unknown.push_back(i);
  }
  const auto induction = [&](int k) {
    step.add_frame();
    step.require(step.literal(k, question.assume));
    const int bad = step.literal(k, question.bad);
    bool proven = step.is_false(bad);
    if (!proven) {
      step.solver.assume(bad);
      proven = step.solver.solve() == 20;
    }
    step.require(-bad);
    return proven;
  };
  const auto proven = [&](std::string method, int depth) {
    out.kind = Answer::Kind::kUnreachable;
    out.method = std::move(method);
    out.depth = depth;
    return out;
  };
  if (induction(0)) return proven("k-induction", 0);
  bool tried_pdr = false;
  for (int k = 0; k <= limits.max_bmc_depth && !deadline.passed(); ++k) {
    base.add_frame();
    base.require(base.literal(k, question.assume));
    const int bad = base.literal(k, question.bad);
    int result = 20;
    if (!base.is_false(bad)) {
      base.solver.assume(bad);
      result = base.solver.solve();
    }
    if (result == 0) break;
    if (result == 10) {
      // An x must not be what decides: the same depth with all of them 0, and with all of them 1.
      bool without = true;
      for (int polarity = 0; polarity < 2 && !unknown.empty() && without; ++polarity) {
        base.solver.assume(bad);
        for (int t = 0; t <= k; ++t) {
          for (int i : unknown) {
            const int lit = base.literal(t, net.inputs[i].lit);
            base.solver.assume(polarity == 0 ? lit : -lit);
          }
        }
        without = base.solver.solve() == 10;
      }
      if (!without) {
        out.kind = Answer::Kind::kUnknown;
        out.needs_unknown = true;
        out.unknown_span = net.inputs[unknown[0]].span;
        out.reason = "fails only for some choice of an unknown (x) value";
        return out;
      }
      out = read_trace(net, cone, base, static_cast<size_t>(k));
      std::vector<bool> states = out.initial, value;
      for (int t = 0; t <= k; ++t) {
        simulate(net, out.inputs[t], states, value);
        const auto get = [&](Lit lit) { return value[node_of(lit)] != is_inverted(lit); };
        if (!get(question.assume) || (t == k && !get(question.bad))) {
          out = {};
          out.reason = "the counterexample does not replay";
          return out;
        }
        for (size_t s = 0; s < states.size(); ++s) states[s] = get(net.states[s].next);
      }
      return out;
    }
    base.require(-bad);
    if (cone.states.empty()) return proven("k-induction", 0);
    if (k + 1 <= limits.max_induction && !deadline.passed() && induction(k + 1)) return proven("k-induction", k + 1);
    if (limits.use_pdr && !tried_pdr && k >= std::min(limits.max_induction, limits.max_bmc_depth)) {
      tried_pdr = true;
      Answer pdr = decide_by_pdr(net, question, deadline.left_s() * 0.8);
      if (pdr.kind == Answer::Kind::kUnreachable) return pdr;
    }
  }
  out.reason = deadline.passed() ? fmt::format("no answer within {:g} s", limits.time_limit_s)
                                 : fmt::format("holds for {} cycles; no proof found", limits.max_bmc_depth);
  return out;
}

}  // namespace callie::assertions
