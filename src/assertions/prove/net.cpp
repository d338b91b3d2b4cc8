#include "assertions/prove/net.h"

namespace callie::assertions {

Lit Net::make_leaf(uint32_t node) {
  const LeafInfo info = design_.leaves[design_.aig.tag(node)];
  if (info.kind == LeafInfo::Kind::kState) return make_history(info.index, new_state_bit(info.index));
  Input input;
  input.is_unknown = info.kind == LeafInfo::Kind::kUnknown;
  input.span = info.span;
  if (info.kind == LeafInfo::Kind::kVariable) {
    input.variable = info.index;
    input.bit = info.bit;
  }
  return new_input(input);
}

Lit Net::new_state_bit(int state) {
  const Lit lit = aig.leaf(0);
  input_of_node.resize(aig.size(), -1);
  state_of_node.resize(aig.size(), -1);
  state_of_node[node_of(lit)] = static_cast<int>(states.size());
  states.push_back({lit, state});
  return lit;
}

Lit Net::new_input(Input input) {
  input.lit = aig.leaf(0);
  input_of_node.resize(aig.size(), -1);
  state_of_node.resize(aig.size(), -1);
  input_of_node[node_of(input.lit)] = static_cast<int>(inputs.size());
  inputs.push_back(input);
  return input.lit;
}

Lit Net::resolve(Lit root) {
  const Aig& from = design_.aig;
  map_.resize(from.size(), kUndriven);
  color_.resize(from.size(), 0);
  map_[0] = kFalse;
  std::vector<uint32_t> stack{node_of(root)};
  const auto push = [&](uint32_t node, uint32_t parent) {
    if (map_[node] != kUndriven) return;
    if (color_[node] == 1) {
      // A loop: name a variable on it.
      Span span;
      std::string name = "logic";
      const auto look = [&](uint32_t n) {
        if (!from.is_leaf(n)) return;
        const LeafInfo& info = design_.leaves[from.tag(n)];
        if (info.kind != LeafInfo::Kind::kVariable) return;
        name = design_.variables[info.index].name;
        span = design_.variables[info.index].span;
      };
      for (size_t i = stack.size(); i-- > 0;) {
        if (color_[stack[i]] == 1) look(stack[i]);
        if (stack[i] == node && color_[stack[i]] == 1) break;
      }
      look(parent);
      look(node);
      throw SourceError{span, fmt::format("combinational loop through '{}'", name)};
    }
    stack.push_back(node);
  };
  while (!stack.empty()) {
    const uint32_t node = stack.back();
    if (map_[node] != kUndriven) {
      stack.pop_back();
      continue;
    }
    const bool first = color_[node] == 0;
    color_[node] = 1;
    if (from.is_leaf(node)) {
      const LeafInfo info = design_.leaves[from.tag(node)];
      Lit driver = kUndriven;
      if (info.kind == LeafInfo::Kind::kVariable) {
        const Variable& v = design_.variables[info.index];
        if (v.is_contested) throw SourceError{v.span, fmt::format("'{}' has more than one driver", v.name)};
        driver = v.driver[info.bit];
        // A variable that nothing drives keeps its initializer.
        if (driver == kUndriven && !v.is_input && !v.is_net && v.init[info.bit] != 2) driver = v.init[info.bit];
      }
      if (driver == kUndriven) {
        map_[node] = make_leaf(node);
      } else if (first) {
        push(node_of(driver), node);
        if (map_[node_of(driver)] == kUndriven) continue;
        map_[node] = invert_if(map_[node_of(driver)], is_inverted(driver));
      } else {
        map_[node] = invert_if(map_[node_of(driver)], is_inverted(driver));
      }
    } else {
      const Lit a = from.input0(node), b = from.input1(node);
      if (first) {
        push(node_of(a), node);
        push(node_of(b), node);
        if (map_[node_of(a)] == kUndriven || map_[node_of(b)] == kUndriven) continue;
      }
      map_[node] = aig.land(invert_if(map_[node_of(a)], is_inverted(a)), invert_if(map_[node_of(b)], is_inverted(b)));
    }
    color_[node] = 2;
    stack.pop_back();
  }
  input_of_node.resize(aig.size(), -1);
  state_of_node.resize(aig.size(), -1);
  return invert_if(map_[node_of(root)], is_inverted(root));
}

// What a history shows: its own bit, and in the first cycle what was before the start.
Lit Net::make_history(int state, Lit own) {
  if (design_.states[state].starts_as == kUndriven) return own;
  const Lit start = before_start(design_.states[state].starts_as);
  if (!is_constant(start)) return aig.lmux(first_cycle(), start, own);
  design_.states[state].init = static_cast<uint8_t>(start);
  return own;
}

Lit Net::first_cycle() {
  if (first_cycle_ == kFalse) {
    const int state = design_.new_state();
    design_.states[state].init = 1;
    design_.states[state].next = kFalse;
    first_cycle_ = new_state_bit(state);
  }
  return first_cycle_;
}

Lit Net::before_start(Lit root) {
  const Aig& from = design_.aig;
  before_.resize(from.size(), kUndriven);
  if (is_register_.size() != design_.variables.size()) {
    is_register_.assign(design_.variables.size(), false);
    for (const State& state : design_.states) {
      if (state.variable >= 0) is_register_[static_cast<size_t>(state.variable)] = true;
    }
  }
  // What a leaf stands for: a constant, another literal, or a bit of its own (kUndriven).
  const auto below = [&](uint32_t node) -> Lit {
    const LeafInfo& info = design_.leaves[from.tag(node)];
    if (info.kind == LeafInfo::Kind::kState) {
      const State& state = design_.states[info.index];
      if (state.starts_as != kUndriven) return state.starts_as;
      const uint8_t init = state.variable >= 0 ? design_.variables[state.variable].init[state.bit] : state.init;
      return init < 2 ? init : kUndriven;
    }
    if (info.kind != LeafInfo::Kind::kVariable) return kUndriven;
    const Variable& v = design_.variables[info.index];
    const Lit driver = v.driver[info.bit];
    const bool keeps = driver == kUndriven ? !v.is_input && !v.is_net : is_register_[static_cast<size_t>(info.index)];
    if (keeps && v.init[info.bit] != 2) return v.init[info.bit];
    return keeps ? kUndriven : driver;
  };
  before_[0] = kFalse;
  std::vector<uint32_t> stack{node_of(root)};
  std::unordered_map<uint32_t, bool> open;
  while (!stack.empty()) {
    const uint32_t node = stack.back();
    if (before_[node] != kUndriven) {
      stack.pop_back();
      continue;
    }
    const auto value = [&](Lit lit) { return invert_if(before_[node_of(lit)], is_inverted(lit)); };
    const bool again = open[node];
    open[node] = true;
    if (from.is_leaf(node)) {
      const Lit to = below(node);
      if (to == kUndriven || (again && before_[node_of(to)] == kUndriven)) before_[node] = new_input({});  // the latter: a loop
      else if (before_[node_of(to)] != kUndriven) before_[node] = value(to);
      else stack.push_back(node_of(to));
      continue;
    }
    const Lit a = from.input0(node), b = from.input1(node);
    bool ready = true;
    for (Lit input : {a, b}) {
      if (before_[node_of(input)] != kUndriven) continue;
      ready = false;
      if (!again) stack.push_back(node_of(input));
    }
    if (ready) before_[node] = aig.land(value(a), value(b));
    else if (again) before_[node] = new_input({});
  }
  return invert_if(before_[node_of(root)], is_inverted(root));
}

void Net::close() {
  for (; closed_ < states.size(); ++closed_) {
    const size_t index = closed_;
    const int state = states[index].state;
    const Lit next = resolve(design_.states[state].next);
    states[index].next = next;
    const State& s = design_.states[state];
    if (s.variable >= 0) states[index].init = design_.variables[s.variable].init[s.bit];
    else states[index].init = s.init;
  }
}

}  // namespace callie::assertions
