#include <algorithm>
#include <random>
#include <unordered_map>

#include "assertions/elaborate/elaborator.h"

/// Processes: continuous assignments, always blocks, initial blocks; registers, latches and asynchronous resets.
namespace callie::assertions {

using ast::Stmt;
using ast::StmtKind;

void Elaborator::drive(int variable, int bit, Lit lit, Span span) {
  Variable& v = design_.variables[variable];
  if (v.driver[bit] != kUndriven) {
    const bool is_integer = !v.is_net && v.type->width == 32 && v.type->is_signed;
    if (!is_integer) fail(span, fmt::format("'{}' has more than one driver", v.name));
    v.is_contested = true;
    return;
  }
  v.driver[bit] = lit;
  v.driver_span[bit] = span;
}

Lit Elaborator::first_cycle() {
  if (first_cycle_ == kFalse) {
    const int index = design_.new_state();
    design_.states[index].init = 1;
    design_.states[index].next = kFalse;
    first_cycle_ = design_.states[index].leaf;
  }
  return first_cycle_;
}

void Elaborator::lower_process(const Process& process) {
  if (!process.item) {
    if (process.output_target) {
      // An output port drives an expression of the outer scope.
      Env env;
      Frame frame;
      frame.scope = process.source_scope;
      frame.env = &env;
      const Variable& port = design_.variables[process.target];
      const int width = type_of(*process.output_target, frame).width;
      const Word value = resize(design_.variable_leaves(process.target), width, port.type->is_signed);
      assign(*process.output_target, value, false, frame);
      finish_combinational(env, process.span);
    } else {
      Frame frame;
      frame.scope = process.source_scope;
      const Word value = evaluate_as(*process.source, design_.variables[process.target].type, frame);
      for (size_t i = 0; i < value.size(); ++i) drive(process.target, static_cast<int>(i), value[i], process.span);
    }
    return;
  }
  const ast::Item& item = *process.item;
  if (item.kind == ast::ItemKind::kInitial) return lower_initial(item, process.scope);
  if (item.kind == ast::ItemKind::kAlways) return lower_always(item, process.scope);
  for (const auto& [target, source] : item.assigns) {
    Stmt statement;
    statement.kind = StmtKind::kAssign;
    statement.target = target;
    statement.expr = source;
    statement.span = item.span;
    Env env;
    Frame frame;
    frame.scope = process.scope;
    frame.env = &env;
    execute(statement, frame);
    finish_combinational(env, target.span);
  }
}

void Elaborator::lower_always(const ast::Item& item, Scope* scope) {
  const Stmt& body = item.body[0];
  if (item.always == ast::AlwaysKind::kComb || item.always == ast::AlwaysKind::kLatch) {
    return lower_combinational(body, scope, item.span);
  }
  if (body.kind == StmtKind::kDelay) unsupported(body.span, "delay in an always block");
  if (body.kind != StmtKind::kTimed) fail(item.span, "an always block without an event control");
  const ast::EventControl& event = *body.event;
  const bool edges = std::any_of(event.terms.begin(), event.terms.end(), [](const auto& t) { return t.edge != ast::Edge::kAny; });
  const bool levels = std::any_of(event.terms.begin(), event.terms.end(), [](const auto& t) { return t.edge == ast::Edge::kAny; });
  if (edges && levels) unsupported(event.span, "event list that mixes edges and levels");
  if (!edges) return lower_combinational(body.body[0], scope, item.span);
  lower_clocked(body.body[0], event, scope, item.span);
}

void Elaborator::lower_combinational(const Stmt& body, Scope* scope, Span span) {
  Env env;
  Frame frame;
  frame.scope = scope;
  frame.env = &env;
  execute(body, frame);
  for (auto& [variable, cell] : env.nonblocking) {
    Cell& to = writable(variable, false, frame);
    for (size_t i = 0; i < cell.bits.size(); ++i) {
      if (!cell.touched[i]) continue;
      to.bits[i] = cell.bits[i];
      to.touched[i] = true;
    }
  }
  finish_combinational(env, span);
}

// driver = enable ? data : leaf. True when the driver never lets the leaf pass inverted: checked on random patterns.
bool Elaborator::is_hold(Lit driver, Lit leaf) {
  std::mt19937_64 random(12345);
  std::vector<uint32_t> order;
  std::unordered_map<uint32_t, std::pair<uint64_t, uint64_t>> value;
  std::vector<uint32_t> stack{node_of(driver)};
  std::unordered_map<uint32_t, bool> seen;
  while (!stack.empty()) {
    const uint32_t n = stack.back();
    stack.pop_back();
    if (seen[n]) continue;
    seen[n] = true;
    order.push_back(n);
    if (!aig_.is_and(n)) continue;
    stack.push_back(node_of(aig_.input0(n)));
    stack.push_back(node_of(aig_.input1(n)));
  }
  std::sort(order.begin(), order.end());
  for (int round = 0; round < 64; ++round) {
    for (uint32_t n : order) {
      auto& v = value[n];
      if (n == node_of(leaf)) v = {0, ~uint64_t{0}};
      else if (n == 0) v = {0, 0};
      else if (!aig_.is_and(n)) v.first = v.second = random();
      else {
        const auto get = [&](Lit lit, bool high) { const auto& p = value[node_of(lit)]; return (high ? p.second : p.first) ^ (is_inverted(lit) ? ~uint64_t{0} : 0); };
        v = {get(aig_.input0(n), false) & get(aig_.input1(n), false), get(aig_.input0(n), true) & get(aig_.input1(n), true)};
      }
    }
    const auto& v = value[node_of(driver)];
    const uint64_t flip = is_inverted(driver) ? ~uint64_t{0} : 0;
    if ((v.first ^ flip) & ~(v.second ^ flip)) return false;
  }
  return true;
}

void Elaborator::finish_combinational(Env& env, Span span) {
  std::unordered_map<uint32_t, std::pair<int, int>> own;
  for (auto& [variable, cell] : env.blocking) {
    if (design_.variables[variable].is_local) continue;
    const Word& leaves = design_.variable_leaves(variable);
    for (size_t i = 0; i < cell.bits.size(); ++i) {
      if (cell.touched[i]) own[node_of(leaves[i])] = {variable, static_cast<int>(i)};
    }
  }
  std::unordered_map<uint32_t, uint32_t> clean;  // nodes without own leaves below them
  for (auto& [variable, cell] : env.blocking) {
    Variable& v = design_.variables[variable];
    if (v.is_local) continue;
    const Word leaves = design_.variable_leaves(variable);
    for (size_t i = 0; i < cell.bits.size(); ++i) {
      if (!cell.touched[i]) continue;
      const Lit leaf = leaves[i];
      bool holds = false;
      std::vector<uint32_t> stack{node_of(cell.bits[i])}, visited;
      std::unordered_map<uint32_t, bool> seen;
      while (!stack.empty()) {
        const uint32_t n = stack.back();
        stack.pop_back();
        if (seen[n] || clean.contains(n)) continue;
        seen[n] = true;
        visited.push_back(n);
        if (const auto it = own.find(n); it != own.end()) {
          if (n != node_of(leaf)) {
            fail(v.span, fmt::format("combinational loop: '{}' is read before it is assigned in the block that drives it",
                                     design_.variables[it->second.first].name));
          }
          holds = true;
        } else if (aig_.is_and(n)) {
          stack.push_back(node_of(aig_.input0(n)));
          stack.push_back(node_of(aig_.input1(n)));
        }
      }
      if (!holds) {
        for (uint32_t n : visited) clean[n] = 1;
        drive(variable, static_cast<int>(i), cell.bits[i], span);
        continue;
      }
      if (!is_hold(cell.bits[i], leaf)) fail(v.span, fmt::format("combinational loop through '{}'", v.name));
      // A latch: its state is the value it last had, and the own leaf below the driver reads that state.
      const int index = design_.new_state();
      State& state = design_.states[index];
      state.variable = variable;
      state.bit = static_cast<int>(i);
      std::unordered_map<uint32_t, Lit> copy;
      std::sort(visited.begin(), visited.end());
      for (uint32_t n : visited) {
        if (n == node_of(leaf)) copy[n] = state.leaf;
        else if (!aig_.is_and(n)) copy[n] = n << 1;
        else {
          const auto get = [&](Lit lit) { const auto it = copy.find(node_of(lit)); return it == copy.end() ? lit : invert_if(it->second, is_inverted(lit)); };
          copy[n] = aig_.land(get(aig_.input0(n)), get(aig_.input1(n)));
        }
      }
      const Lit out = invert_if(copy[node_of(cell.bits[i])], is_inverted(cell.bits[i]));
      design_.states[index].next = out;
      drive(variable, static_cast<int>(i), out, span);
    }
  }
}

// `condition` is true whenever `level` is: the same, or a disjunction with it.
bool Elaborator::holds_at(Lit level, Lit condition) const {
  std::vector<Lit> terms{condition};
  while (!terms.empty()) {
    const Lit term = terms.back();
    terms.pop_back();
    if (term == level) return true;
    if (!is_inverted(term) || !aig_.is_and(node_of(term))) continue;
    terms.push_back(negate(aig_.input0(node_of(term))));
    terms.push_back(negate(aig_.input1(node_of(term))));
  }
  return false;
}

void Elaborator::lower_clocked(const Stmt& body, const ast::EventControl& event, Scope* scope, Span span) {
  Frame plain;
  plain.scope = scope;
  std::vector<std::pair<Clock, const ast::EventTerm*>> edges;
  for (const ast::EventTerm& term : event.terms) edges.emplace_back(resolve_edge(term, plain), &term);
  // Asynchronous resets: the conditions of the if-chain at the top, each the active level of its edge. That of a single
  // reset may be true at other times too (`if (!rst_n || clear)`), which then is synchronous.
  struct Reset { Lit level, active; const Stmt* body; };
  std::vector<Reset> resets;
  const Stmt* rest = &body;
  while (edges.size() > 1) {
    while (rest->kind == StmtKind::kBlock && rest->body.size() == 1) rest = &rest->body[0];
    if (rest->kind != StmtKind::kIf) unsupported(span, "event list with several edges and no reset branch");
    const Lit active = condition(*rest->expr, plain);
    const auto level_of = [](const auto& edge) { return invert_if(edge.first.signal, edge.first.edge == ast::Edge::kNeg); };
    const auto it = std::find_if(edges.begin(), edges.end(), [&](const auto& e) {
      return active == level_of(e) || (event.terms.size() == 2 && holds_at(level_of(e), active));
    });
    if (it == edges.end()) unsupported(rest->expr->span, "asynchronous reset that is not the level of its edge");
    if (it->second->iff) unsupported(span, "iff on a reset");
    resets.push_back({level_of(*it), active, &rest->body[0]});
    edges.erase(it);
    static const Stmt kNothing;
    rest = rest->body.size() > 1 ? &rest->body[1] : &kNothing;
  }
  const Clock clock = edges[0].first;
  const auto run = [&](const Stmt& statement, Lit guard, Env& env) {
    Frame frame;
    frame.scope = scope;
    frame.env = &env;
    frame.is_clocked = true;
    frame.has_clock = true;
    frame.clock = clock;
    frame.guard = guard;
    execute(statement, frame);
    for (auto& [variable, cell] : env.nonblocking) {
      const auto both = env.blocking.find(variable);
      if (both != env.blocking.end()) {
        for (size_t i = 0; i < cell.bits.size(); ++i) {
          if (cell.touched[i] && both->second.touched[i]) {
            fail(span, fmt::format("'{}' is assigned with both '=' and '<='", design_.variables[variable].name));
          }
        }
      }
      Cell& to = writable(variable, false, frame);
      for (size_t i = 0; i < cell.bits.size(); ++i) {
        if (!cell.touched[i]) continue;
        to.bits[i] = cell.bits[i];
        to.touched[i] = true;
      }
    }
  };
  Lit idle = kTrue;
  std::deque<Env> envs(resets.size() + 1);
  for (size_t i = 0; i < resets.size(); ++i) {
    run(*resets[i].body, aig_.land(idle, resets[i].active), envs[i]);
    idle = aig_.land(idle, negate(resets[i].active));
  }
  Lit enable = kTrue;
  if (edges[0].second->iff) enable = condition(*edges[0].second->iff, plain);
  run(*rest, aig_.land(idle, enable), envs[resets.size()]);
  std::map<int, std::vector<bool>> assigned;
  for (Env& env : envs) {
    for (auto& [variable, cell] : env.blocking) {
      if (design_.variables[variable].is_local) continue;
      auto& bits = assigned[variable];
      bits.resize(cell.touched.size());
      for (size_t i = 0; i < bits.size(); ++i) bits[i] = bits[i] || cell.touched[i];
    }
  }
  for (auto& [variable, bits] : assigned) {
    const Word leaves = design_.variable_leaves(variable);
    for (size_t i = 0; i < bits.size(); ++i) {
      if (!bits[i]) continue;
      const int index = design_.new_state();
      const Lit held = design_.states[index].leaf;
      const auto final_value = [&, variable = variable](Env& env, Lit unchanged) {
        const auto it = env.blocking.find(variable);
        return it != env.blocking.end() && it->second.touched[i] ? it->second.bits[i] : unchanged;
      };
      Lit next = aig_.lmux(enable, final_value(envs[resets.size()], leaves[i]), leaves[i]);
      Lit visible = held;
      for (size_t r = resets.size(); r-- > 0;) {
        const Lit value = final_value(envs[r], held);
        next = aig_.lmux(resets[r].active, value, next);
        visible = aig_.lmux(resets[r].level, value, visible);
      }
      State& state = design_.states[index];
      state.variable = variable;
      state.bit = static_cast<int>(i);
      state.next = next;
      state.has_clock = true;
      state.clock = clock;
      drive(variable, static_cast<int>(i), visible, span);
    }
  }
}

// What starts at an unknown value and is never assigned keeps that value.
void Elaborator::keep_unknown_starts() {
  for (const auto& [variable, bit] : starts_anyhow_) {
    if (design_.variables[variable].driver[bit] != kUndriven) continue;
    State& state = design_.states[design_.new_state()];
    state.variable = variable;
    state.bit = bit;
    state.next = state.leaf;
    drive(variable, bit, state.leaf, {});
  }
}

void Elaborator::lower_initial(const ast::Item& item, Scope* scope) {
  Env env;
  Frame frame;
  frame.scope = scope;
  frame.env = &env;
  frame.is_initial = true;
  frame.guard = first_cycle();
  try {
    execute(item.body[0], frame);
  } catch (const SourceError& problem) {
    if (problem.code != StatusCode::kUnimplemented) throw;
    throw SourceError{problem.span, problem.message + " in an initial block", problem.code};
  }
  for (auto& [variable, cell] : env.blocking) {
    Variable& v = design_.variables[variable];
    if (v.is_local) continue;
    for (size_t i = 0; i < cell.bits.size(); ++i) {
      if (!cell.touched[i]) continue;
      if (is_constant(cell.bits[i])) {
        v.init[i] = static_cast<uint8_t>(cell.bits[i]);
      } else if (aig_.is_leaf(node_of(cell.bits[i])) && design_.leaf_info(cell.bits[i]).kind == LeafInfo::Kind::kUnknown) {
        v.init[i] = 2;
        starts_anyhow_.emplace_back(variable, static_cast<int>(i));
      } else {
        unsupported(item.span, "initial value that is not constant");
      }
    }
  }
}

}  // namespace callie::assertions
