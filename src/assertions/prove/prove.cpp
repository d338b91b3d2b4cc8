#include "assertions/prove/prove.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "assertions/elaborate/elaborator.h"
#include "assertions/prove/engine.h"
#include "assertions/syntax/parser.h"
#include "assertions/syntax/walk.h"
#include "core/interrupt.h"

namespace callie::assertions {
namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Proves the checks of one top module.
class ModuleProver {
 public:
  ModuleProver(const SourceSet& sources, const ast::Unit& unit, const ProveOptions& options)
      : sources_(sources), unit_(unit), options_(options), net_(design_) {}

  void run(const ast::Module& top, const std::string& prefix, ProveReport& report) {
    Elaborator elaborator(unit_, design_);
    elaborator.elaborate(top, options_.parameters);
    settle();
    std::vector<Lit> bad(design_.checks.size(), kFalse), fire(design_.checks.size(), kFalse);
    for (size_t i = 0; i < design_.checks.size(); ++i) {
      const Check& check = design_.checks[i];
      if (!check.supported) continue;
      bad[i] = net_.resolve(check.bad);
      fire[i] = net_.resolve(check.fire);
    }
    resolve_everything();
    net_.close();
    Lit assume = kTrue;
    std::string blocked;
    for (size_t i = 0; i < design_.checks.size(); ++i) {
      const Check& check = design_.checks[i];
      if (check.kind == ast::AssertKind::kAssert) continue;
      if (check.supported) assume = net_.aig.land(assume, negate(bad[i]));
      else blocked = fmt::format("assumption outside of the subset: {}", check.reason);
    }
    net_.input_of_node.resize(net_.aig.size(), -1);
    net_.state_of_node.resize(net_.aig.size(), -1);
    std::set<std::string> clocks;
    std::map<std::string, int> names;
    for (size_t i = 0; i < design_.checks.size(); ++i) {
      const Check& check = design_.checks[i];
      if (check.kind != ast::AssertKind::kAssert) continue;
      AssertionResult result;
      result.span = check.span;
      result.place = sources_.place(check.span);
      result.name = prefix + (check.name.empty() ? fmt::format("assert_{}", result.place.line) : check.name);
      if (const int n = names[result.name]++; n > 0) result.name += fmt::format("_{}", n + 1);
      const double begin = now_ms();
      if (!check.supported) {
        result.verdict = Verdict::kUnsupported;
        result.reason = check.reason;
        result.reason_code = check.reason_code;
        result.span = check.reason_span;
        result.place = sources_.place(check.reason_span);
      } else if (!blocked.empty()) {
        result.verdict = Verdict::kUnsupported;
        result.reason = blocked;
      } else if (!check.reached) {
        result.verdict = Verdict::kVacuous;
        result.method = "constant";
        result.reason = "the condition around it is constantly false";
      } else {
        if (check.has_clock) clocks.insert(check.clock.text);
        decide_one(check, bad[i], fire[i], assume, result);
      }
      result.ms = now_ms() - begin;
      report.assertions.push_back(std::move(result));
      if (interrupted()) throw SourceError{check.span, "stopped", StatusCode::kCancelled};
      if (options_.progress) options_.progress(static_cast<int64_t>(i) + 1, static_cast<int64_t>(design_.checks.size()));
    }
    report.top += (report.top.empty() ? "" : ", ") + top.name;
    if (clocks.size() == 1 && report.clock.empty()) report.clock = *clocks.begin();
  }

 private:
  // Delays the failures of assertions, so that assumptions get the last word.
  void settle() {
    for (Check& check : design_.checks) {
      if (check.kind != ast::AssertKind::kAssert) continue;
      for (int n = 0; n < options_.settle_cycles; ++n) {
        State& state = design_.states[design_.new_state()];
        state.next = check.bad;
        state.init = 0;
        check.bad = state.leaf;
      }
    }
  }

  // Loops are errors wherever they are; witnesses show every register.
  void resolve_everything() {
    for (size_t v = 0; v < design_.variables.size(); ++v) {
      Variable& variable = design_.variables[v];
      if (variable.is_local || variable.is_contested) continue;
      for (Lit driver : variable.driver) {
        if (driver != kUndriven) (void)net_.resolve(driver);
      }
      if (variable.is_input) {
        const Word leaves = design_.variable_leaves(static_cast<int>(v));
        for (Lit leaf : leaves) (void)net_.resolve(leaf);
      }
    }
    for (const State& state : design_.states) {
      if (state.variable >= 0 && !design_.variables[state.variable].is_contested) (void)net_.resolve(state.leaf);
    }
  }

  // All states of the cone tick on one edge of one input that nothing else reads; returns what is wrong otherwise.
  std::string clock_problem(const Check& check, const Cone& cone) {
    struct Tick { Lit signal; ast::Edge edge; std::string text; };
    std::vector<Tick> ticks;
    const auto add = [&](const Clock& clock) {
      const Lit signal = net_.resolve(clock.signal);
      ast::Edge edge = clock.edge;
      if (is_inverted(signal)) edge = edge == ast::Edge::kPos ? ast::Edge::kNeg : ast::Edge::kPos;
      const Lit plain = signal & ~Lit{1};
      for (const Tick& tick : ticks) {
        if (tick.signal == plain && tick.edge == edge) return;
      }
      ticks.push_back({plain, edge, clock.text});
    };
    if (check.has_clock) add(check.clock);
    for (int s : cone.states) {
      const State& state = design_.states[net_.states[s].state];
      if (state.has_clock) add(state.clock);
    }
    if (ticks.size() > 1) return fmt::format("more than one clock: {} and {}", ticks[0].text, ticks[1].text);
    if (ticks.empty()) return {};
    const uint32_t node = node_of(ticks[0].signal);
    if (node >= net_.input_of_node.size() || net_.input_of_node[node] < 0) return fmt::format("clock that is not an input: {}", ticks[0].text);
    if (std::binary_search(cone.nodes.begin(), cone.nodes.end(), node)) return fmt::format("clock used as data: {}", ticks[0].text);
    return {};
  }

  void decide_one(const Check& check, Lit bad, Lit fire, Lit assume, AssertionResult& result) {
    const Cone cone = cone_of(net_, {bad, assume, check.has_fire ? fire : kFalse});
    if (std::string problem = clock_problem(check, cone); !problem.empty()) {
      result.verdict = Verdict::kUnsupported;
      result.reason = std::move(problem);
      return;
    }
    EngineLimits limits;
    limits.max_bmc_depth = options_.max_bmc_depth;
    limits.max_induction = options_.max_induction;
    limits.use_pdr = options_.use_pdr && !options_.any_state;
    limits.time_limit_s = options_.time_limit_s;
    Question question{bad, assume, options_.any_state};
    Answer answer = decide(net_, question, limits);
    result.method = answer.method;
    result.depth = answer.depth;
    if (answer.kind == Answer::Kind::kReachable) {
      result.verdict = Verdict::kRefuted;
      if (options_.keep_witness) result.witness = witness(answer);
      return;
    }
    if (answer.kind == Answer::Kind::kUnknown) {
      result.verdict = Verdict::kUndetermined;
      result.reason = answer.reason;
      if (answer.needs_unknown) {
        const Place at = sources_.place(answer.unknown_span);
        result.reason += fmt::format(" from line {}", at.line);
      }
      result.method.clear();
      return;
    }
    result.verdict = Verdict::kProven;
    if (!options_.check_vacuity || !check.has_fire) return;
    question.bad = fire;
    const Answer reach = decide(net_, question, limits);
    if (reach.kind == Answer::Kind::kReachable) return;
    if (reach.kind == Answer::Kind::kUnreachable) {
      result.verdict = Verdict::kVacuous;
      result.method = reach.method;
      result.depth = reach.depth;
      result.reason = "the antecedent is never true";
    } else if (!reach.needs_unknown) {
      result.verdict = Verdict::kUndetermined;
      result.reason = "holds, but whether its antecedent can be true was not decided: " + reach.reason;
      result.method.clear();
    }
  }

  Witness witness(const Answer& answer) {
    Witness out;
    struct Source { int variable, first, width; };
    std::vector<Source> rows;
    std::vector<bool> is_state(design_.variables.size(), false);
    for (const State& state : design_.states) {
      if (state.variable >= 0) is_state[state.variable] = true;
    }
    const auto kind = [&](size_t v) {
      return design_.variables[v].is_input ? Witness::Kind::kInput : is_state[v] ? Witness::Kind::kRegister : Witness::Kind::kOther;
    };
    for (size_t v = 0; v < design_.variables.size(); ++v) {
      const Variable& variable = design_.variables[v];
      const bool inside = variable.name.find('.') != std::string::npos;
      if (variable.is_local || variable.is_contested || (inside && kind(v) == Witness::Kind::kOther)) continue;
      // Unpacked arrays are shown by element.
      std::vector<std::pair<std::string, std::pair<const Type*, int>>> parts{{variable.name, {variable.type, 0}}};
      for (size_t i = 0; i < parts.size() && parts.size() < 4096;) {
        const auto [name, at] = parts[i];
        if (at.first->kind != Type::Kind::kUnpacked) {
          ++i;
          continue;
        }
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i));
        for (int n = 0; n < at.first->count(); ++n) {
          parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(i) + n,
                       {fmt::format("{}[{}]", name, at.first->low() + n), {at.first->element, at.second + n * at.first->element->width}});
        }
      }
      for (const auto& [name, at] : parts) {
        const bool starts_freely = kind(v) == Witness::Kind::kRegister && std::count(variable.init.begin(), variable.init.end(), 2) > 0;
        out.signals.push_back({name, at.first->width, kind(v), starts_freely});
        rows.push_back({static_cast<int>(v), at.second, at.first->width});
      }
    }
    std::vector<bool> states = answer.initial, value;
    std::vector<std::vector<Lit>> bits;
    for (const Source& row : rows) {
      std::vector<Lit> lits;
      const Word leaves = design_.variable_leaves(row.variable);
      for (int i = 0; i < row.width; ++i) lits.push_back(net_.resolve(leaves[row.first + i]));
      bits.push_back(std::move(lits));
    }
    net_.close();
    net_.input_of_node.resize(net_.aig.size(), -1);
    net_.state_of_node.resize(net_.aig.size(), -1);
    states.resize(net_.states.size(), false);
    for (const std::vector<bool>& given : answer.inputs) {
      std::vector<bool> row = given;
      row.resize(net_.inputs.size(), false);
      simulate(net_, row, states, value);
      const auto get = [&](Lit lit) { return value[node_of(lit)] != is_inverted(lit); };
      std::vector<BitString> cycle;
      for (const auto& lits : bits) {
        BitString text;
        for (Lit lit : lits) text.push_back(get(lit));
        cycle.push_back(std::move(text));
      }
      out.cycles.push_back(std::move(cycle));
      std::vector<bool> next(states.size());
      for (size_t s = 0; s < states.size(); ++s) next[s] = get(net_.states[s].next);
      states = std::move(next);
    }
    return out;
  }

  const SourceSet& sources_;
  const ast::Unit& unit_;
  const ProveOptions& options_;
  Design design_;
  Net net_;
};

}  // namespace

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kProven: return "proven";
    case Verdict::kRefuted: return "refuted";
    case Verdict::kVacuous: return "vacuous";
    case Verdict::kUndetermined: return "undetermined";
    case Verdict::kUnsupported: return "unsupported";
  }
  return "";
}

StatusOr<ProveReport> prove(const SourceSet& sources, const ast::Unit& unit, const ProveOptions& options,
                            SourceError* problem_out) {
  std::vector<const ast::Module*> tops;
  if (!options.top.empty()) {
    const ast::Module* top = unit.find(options.top);
    if (!top) return not_found("no module '{}'", options.top);
    tops.push_back(top);
  } else {
    tops = top_modules(unit);
    if (tops.empty() && !unit.modules.empty()) return invalid_argument("{}: no top module: every module is instantiated by another one", sources.name(0));
    if (tops.empty()) return invalid_argument("{}: no module", sources.size() > 0 ? sources.name(0) : "input");
  }
  ProveReport report;
  for (const ast::Module* top : tops) {
    try {
      ModuleProver prover(sources, unit, options);
      prover.run(*top, tops.size() > 1 ? top->name + "." : "", report);
    } catch (const SourceError& problem) {
      if (problem.code == StatusCode::kCancelled) return Status(problem.code, problem.message);
      if (problem_out) *problem_out = problem;
      const std::string message = problem.code == StatusCode::kUnimplemented
                                      ? fmt::format("not part of the subset: {}", problem.message)
                                      : problem.message;
      return sources.error_at(problem.span, message, problem.code);
    } catch (const std::bad_alloc&) {
      return resource_exhausted("{}: the design does not fit into memory", top->name);
    }
  }
  return report;
}

StatusOr<ProveReport> prove_text(std::string name, std::string text, const ProveOptions& options) {
  SourceSet sources;
  CALLIE_ASSIGN_OR_RETURN(const ast::Unit unit, parse_text(sources, std::move(name), std::move(text)));
  return prove(sources, unit, options);
}

}  // namespace callie::assertions
