#include "assertions/prove/one_step.h"

#include <algorithm>
#include <cadical.hpp>
#include <map>
#include <memory>

#include "assertions/elaborate/elaborator.h"
#include "assertions/prove/engine.h"
#include "core/philox.h"

namespace callie::assertions {
namespace {

constexpr int kWords = 2;        // 128 random runs at once
constexpr int kMaxHistory = 24;

/// Frames of the whole graph in one solver; a node is translated when a query first needs it.
class LazyUnrolling {
 public:
  LazyUnrolling(const Net& net, const std::vector<bool>& is_free, int frames)
      : net_(net), is_free_(is_free), value_(static_cast<size_t>(frames), std::vector<int>(net.aig.size(), 0)) {
    solver_.set("quiet", 1);
    true_ = ++variables_;
    clause({true_});
  }

  int literal(int t, Lit lit) {
    const int v = node(t, node_of(lit));
    return is_inverted(lit) ? -v : v;
  }
  bool is_false(int lit) const { return lit == -true_; }
  bool solve(int assumption) {
    solver_.assume(assumption);
    return solver_.solve() == 10;
  }
  /// Of the last model; what was never translated is false.
  bool value(int t, Lit lit) {
    const int v = value_[static_cast<size_t>(t)][node_of(lit)];
    if (v == 0) return false;
    const bool set = std::abs(v) == true_ ? v > 0 : (solver_.val(std::abs(v)) > 0) == (v > 0);
    return set != is_inverted(lit);
  }

 private:
  void clause(std::initializer_list<int> literals) {
    for (int lit : literals) solver_.add(lit);
    solver_.add(0);
  }
  int node(int t, uint32_t n) {
    if (int v = value_[static_cast<size_t>(t)][n]; v != 0) return v;
    int out = 0;
    if (n == 0) {
      out = -true_;
    } else if (net_.aig.is_and(n)) {
      const int a = literal(t, net_.aig.input0(n)), b = literal(t, net_.aig.input1(n));
      if (a == -true_ || b == -true_ || a == -b) out = -true_;
      else if (a == true_ || a == b) out = b;
      else if (b == true_) out = a;
      else {
        out = ++variables_;
        clause({-out, a});
        clause({-out, b});
        clause({out, -a, -b});
      }
    } else if (const int s = net_.state_of_node[n]; s >= 0) {
      const Net::StateBit& state = net_.states[static_cast<size_t>(s)];
      if (t > 0) out = literal(t - 1, state.next);
      else if (!is_free_[static_cast<size_t>(s)] && state.init < 2) out = state.init ? true_ : -true_;
      else out = ++variables_;
    } else {
      out = ++variables_;
    }
    return value_[static_cast<size_t>(t)][n] = out;
  }

  const Net& net_;
  const std::vector<bool>& is_free_;
  CaDiCaL::Solver solver_;
  int true_ = 0, variables_ = 0;
  std::vector<std::vector<int>> value_;
};

class StepDecider {
 public:
  StepDecider(const ast::Unit& unit, const StepOptions& options) : options_(options), net_(design_) {
    Elaborator elaborator(unit, design_);
    elaborator.elaborate(unit.modules.front(), {});
  }

  std::vector<StepResult> run() {
    resolve();
    const auto& checks = design_.checks;
    std::vector<StepResult> out(checks.size());
    bool stop = false;
    for (size_t i = 0; i < checks.size(); ++i) {
      out[i].name = checks[i].name;
      if (!checks[i].supported) out[i].reason = checks[i].reason;
    }
    if (!measure_history()) {
      for (StepResult& r : out) {
        if (r.reason.empty()) r.reason = "history without an end";
      }
      return out;
    }
    simulate_random();
    // Refutation by simulation first, for all: it is nearly free.
    for (size_t i = 0; i < checks.size() && !stop; ++i) {
      if (!checks[i].supported || depends_on_unknown_[i]) continue;
      for (int t = depth_[i]; t >= 0 && out[i].kind == StepResult::Kind::kUndecided; --t) {
        for (int w = 0; w < kWords; ++w) {
          const uint64_t hit = word(t, bad_[i], w);
          if (!hit) continue;
          out[i].kind = StepResult::Kind::kRefuted;
          out[i].by_simulation = true;
          out[i].self_contained = t == depth_[i];
          if (options_.witnesses) out[i].witness = witness_of_pattern(t, w, std::countr_zero(hit));
          stop = options_.stop_at_refuted;
          break;
        }
      }
    }
    for (size_t i = 0; i < checks.size() && !stop; ++i) {
      StepResult& r = out[i];
      if (!checks[i].supported || r.kind == StepResult::Kind::kRefuted) continue;
      if (depends_on_unknown_[i]) {
        r.reason = "depends on an unknown (x) value";
        continue;
      }
      if (const int t = solve(bad_[i], depth_[i]); t >= 0) {
        r.kind = StepResult::Kind::kRefuted;
        r.self_contained = t == depth_[i];
        if (options_.witnesses) r.witness = witness_of_model(t);
        stop = options_.stop_at_refuted;
        continue;
      }
      if (other_edge_[i]) {
        r.reason = "holds when inputs keep still between the edges; other runs are not looked at";
        continue;
      }
      r.kind = StepResult::Kind::kProven;
      if (!checks[i].has_fire || !options_.check_fires) continue;
      r.fires = false;
      for (int t = 0; t <= depth_[i] && !r.fires; ++t) {
        for (int w = 0; w < kWords; ++w) r.fires = r.fires || word(t, fire_[i], w) != 0;
      }
      if (!r.fires) r.fires = solve(fire_[i], depth_[i]) >= 0;
    }
    return out;
  }

 private:
  void resolve() {
    const auto& checks = design_.checks;
    bad_.assign(checks.size(), kFalse);
    fire_.assign(checks.size(), kFalse);
    for (size_t i = 0; i < checks.size(); ++i) {
      if (!checks[i].supported) continue;
      bad_[i] = net_.resolve(checks[i].bad);
      fire_[i] = net_.resolve(checks[i].fire);
    }
    for (size_t v = 0; v < design_.variables.size(); ++v) {
      if (design_.variables[v].is_local || design_.variables[v].is_contested) continue;
      const Word leaves = design_.variable_leaves(static_cast<int>(v));
      for (Lit leaf : leaves) (void)net_.resolve(leaf);
    }
    net_.close();
    find_edges();
    net_.input_of_node.resize(net_.aig.size(), -1);
    net_.state_of_node.resize(net_.aig.size(), -1);
    for (const Net::StateBit& bit : net_.states) {
      const State& state = design_.states[static_cast<size_t>(bit.state)];
      is_free_.push_back(state.variable >= 0 && bit.init == 2);
    }
    depends_on_unknown_.assign(checks.size(), false);
    if (std::none_of(net_.inputs.begin(), net_.inputs.end(), [](const Net::Input& input) { return input.is_unknown; })) return;
    for (size_t i = 0; i < checks.size(); ++i) {
      bool unknown = false;
      for (int input : cone_of(net_, {bad_[i], fire_[i]}).inputs) unknown = unknown || net_.inputs[static_cast<size_t>(input)].is_unknown;
      depends_on_unknown_[i] = unknown;
    }
  }

  // Assertions on the edge that the design does not use see its registers behind the design's edge.
  void find_edges() {
    other_edge_.assign(design_.checks.size(), false);
    bool clocked = false;
    ast::Edge edge = ast::Edge::kPos;
    for (const State& state : design_.states) {
      if (state.variable < 0 || !state.has_clock) continue;
      clocked = true;
      edge = state.clock.edge;
    }
    if (!clocked) return;
    std::vector<bool> other_state(design_.states.size(), false);
    bool any_other = false;
    for (size_t i = 0; i < design_.checks.size(); ++i) {
      other_edge_[i] = design_.checks[i].has_clock && design_.checks[i].clock.edge != edge;
      any_other = any_other || other_edge_[i];
    }
    if (!any_other) return;
    for (size_t s = 0; s < design_.states.size(); ++s) {
      const State& state = design_.states[s];
      other_state[s] = state.variable < 0 && state.has_clock && state.clock.edge != edge;
    }
    std::map<uint32_t, Lit> after;
    for (Net::StateBit& bit : net_.states) {
      if (other_state[static_cast<size_t>(bit.state)]) bit.next = behind(bit.next, after);
    }
    for (size_t i = 0; i < design_.checks.size(); ++i) {
      if (!other_edge_[i]) continue;
      bad_[i] = behind(bad_[i], after);
      fire_[i] = behind(fire_[i], after);
    }
  }

  // The literal with the design's registers replaced by their next values.
  Lit behind(Lit lit, std::map<uint32_t, Lit>& done) {
    const uint32_t n = node_of(lit);
    const auto it = done.find(n);
    if (it != done.end()) return invert_if(it->second, is_inverted(lit));
    Lit out = n << 1;
    if (net_.aig.is_and(n)) {
      const Lit a = net_.aig.input0(n), b = net_.aig.input1(n);
      const Lit x = behind(a, done), y = behind(b, done);
      out = net_.aig.land(x, y);
    } else if (n != 0 && n < net_.state_of_node.size() && net_.state_of_node[n] >= 0) {
      const Net::StateBit& bit = net_.states[static_cast<size_t>(net_.state_of_node[n])];
      if (design_.states[static_cast<size_t>(bit.state)].variable >= 0) out = bit.next;
    }
    done[n] = out;
    return invert_if(out, is_inverted(lit));
  }

  // The number of cycles after which every bit that does not start freely is a function of the cycles before.
  bool measure_history() {
    std::vector<int> depth(net_.aig.size(), -1);  // of a node: registers with a start on the way, -2: being visited
    const auto visit = [&](const auto& self, uint32_t n) -> int {
      if (depth[n] >= 0) return depth[n];
      if (depth[n] == -2) return kMaxHistory + 1;
      depth[n] = -2;
      int out = 0;
      if (net_.aig.is_and(n)) {
        out = std::max(self(self, node_of(net_.aig.input0(n))), self(self, node_of(net_.aig.input1(n))));
      } else if (n != 0 && net_.state_of_node[n] >= 0) {
        const auto s = static_cast<size_t>(net_.state_of_node[n]);
        if (!is_free_[s]) out = 1 + self(self, node_of(net_.states[s].next));
      }
      return depth[n] = std::min(out, kMaxHistory + 1);
    };
    int longest = 0;
    for (size_t i = 0; i < bad_.size(); ++i) {
      depth_.push_back(std::max(visit(visit, node_of(bad_[i])), visit(visit, node_of(fire_[i]))));
      longest = std::max(longest, depth_.back());
    }
    frames_ = longest + 1;
    return longest <= kMaxHistory;
  }

  uint64_t word(int t, Lit lit, int w) const {
    return values_[static_cast<size_t>(t)][node_of(lit) * kWords + static_cast<size_t>(w)] ^ (is_inverted(lit) ? ~uint64_t{0} : 0);
  }

  void simulate_random() {
    SequentialRng rng(options_.seed, Purpose::kData, 1);
    values_.assign(static_cast<size_t>(frames_), std::vector<uint64_t>(net_.aig.size() * kWords, 0));
    for (int t = 0; t < frames_; ++t) {
      auto& now = values_[static_cast<size_t>(t)];
      for (uint32_t n = 1; n < net_.aig.size(); ++n) {
        for (int w = 0; w < kWords; ++w) {
          uint64_t& out = now[n * kWords + static_cast<size_t>(w)];
          if (net_.aig.is_and(n)) {
            out = word(t, net_.aig.input0(n), w) & word(t, net_.aig.input1(n), w);
          } else if (const int s = net_.state_of_node[n]; s >= 0) {
            const Net::StateBit& bit = net_.states[static_cast<size_t>(s)];
            if (t > 0) out = word(t - 1, bit.next, w);
            else if (!is_free_[static_cast<size_t>(s)] && bit.init < 2) out = bit.init ? ~uint64_t{0} : 0;
            else out = rng.next_u64();
          } else {
            out = rng.next_u64();
          }
        }
      }
    }
  }

  // A cycle up to `last` in which `bad` can be true, or -1. The last is tried first: what an assertion remembers is then
  // part of the run, and a witness can be replayed anywhere.
  int solve(Lit bad, int last) {
    if (bad == kFalse) return -1;
    if (!unrolling_) unrolling_ = std::make_unique<LazyUnrolling>(net_, is_free_, frames_);
    for (int t = last; t >= 0; --t) {
      const int lit = unrolling_->literal(t, bad);
      if (!unrolling_->is_false(lit) && unrolling_->solve(lit)) return t;
    }
    return -1;
  }

  Witness witness_of_pattern(int last, int w, int bit) {
    const auto get = [&](int t, Lit lit) { return (word(t, lit, w) >> bit & 1) != 0; };
    return build(last, get);
  }

  // A model fixes the nodes that a query needed; the others follow from false inputs.
  Witness witness_of_model(int last) {
    std::vector<std::vector<bool>> frames;
    std::vector<bool> states(net_.states.size());
    for (size_t s = 0; s < states.size(); ++s) {
      const bool given = !is_free_[s] && net_.states[s].init < 2;
      states[s] = given ? net_.states[s].init == 1 : unrolling_->value(0, net_.states[s].lit);
    }
    for (int t = 0; t <= last; ++t) {
      std::vector<bool> inputs;
      for (const Net::Input& input : net_.inputs) inputs.push_back(unrolling_->value(t, input.lit));
      std::vector<bool> value;
      simulate(net_, inputs, states, value);
      for (size_t s = 0; s < states.size(); ++s) states[s] = value[node_of(net_.states[s].next)] != is_inverted(net_.states[s].next);
      frames.push_back(std::move(value));
    }
    return build(last, [&](int t, Lit lit) { return frames[static_cast<size_t>(t)][node_of(lit)] != is_inverted(lit); });
  }

  template <typename Get>
  Witness build(int last, const Get& get) {
    Witness out;
    std::vector<bool> is_state(design_.variables.size(), false);
    for (const State& state : design_.states) {
      if (state.variable >= 0) is_state[static_cast<size_t>(state.variable)] = true;
    }
    std::vector<std::vector<Lit>> rows;
    for (size_t v = 0; v < design_.variables.size(); ++v) {
      const Variable& variable = design_.variables[v];
      if (variable.is_local || variable.is_contested || (!variable.is_input && !is_state[v])) continue;
      out.signals.push_back({variable.name, variable.type->width, variable.is_input ? Witness::Kind::kInput : Witness::Kind::kRegister});
      std::vector<Lit> bits;
      for (Lit leaf : design_.variable_leaves(static_cast<int>(v))) bits.push_back(net_.resolve(leaf));
      rows.push_back(std::move(bits));
    }
    for (int t = 0; t <= last; ++t) {
      std::vector<BitString> cycle;
      for (const auto& bits : rows) {
        BitString text;
        for (Lit lit : bits) text.push_back(get(t, lit));
        cycle.push_back(std::move(text));
      }
      out.cycles.push_back(std::move(cycle));
    }
    return out;
  }

  const StepOptions& options_;
  Design design_;
  Net net_;
  std::vector<Lit> bad_, fire_;
  std::vector<bool> is_free_, depends_on_unknown_, other_edge_;
  std::vector<int> depth_;   // of each check: cycles that its history reaches back
  int frames_ = 1;
  std::vector<std::vector<uint64_t>> values_;
  std::unique_ptr<LazyUnrolling> unrolling_;
};

}  // namespace

StatusOr<std::vector<StepResult>> decide_steps(const SourceSet& sources, const ast::Unit& unit, const StepOptions& options) {
  if (unit.modules.empty()) return invalid_argument("no module");
  try {
    StepDecider decider(unit, options);
    return decider.run();
  } catch (const SourceError& problem) {
    if (sources.size() == 0) return Status(problem.code, problem.message);
    return sources.error_at(problem.span, problem.message, problem.code);
  }
}

}  // namespace callie::assertions
