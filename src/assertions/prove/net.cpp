#include "assertions/prove/net.h"

namespace callie::assertions {

Lit Net::make_leaf(uint32_t node) {
  const LeafInfo info = design_.leaves[design_.aig.tag(node)];
  const Lit lit = aig.leaf(0);
  input_of_node.resize(aig.size(), -1);
  state_of_node.resize(aig.size(), -1);
  if (info.kind == LeafInfo::Kind::kState) {
    state_of_node[node_of(lit)] = static_cast<int>(states.size());
    states.push_back({lit, info.index});
  } else {
    Input input;
    input.lit = lit;
    input.is_unknown = info.kind == LeafInfo::Kind::kUnknown;
    input.span = info.span;
    if (info.kind == LeafInfo::Kind::kVariable) {
      input.variable = info.index;
      input.bit = info.bit;
    }
    input_of_node[node_of(lit)] = static_cast<int>(inputs.size());
    inputs.push_back(input);
  }
  return lit;
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

// The value of a literal before the first clock where initializers decide it, else 2.
int Net::initial_value(Lit lit) {
  std::unordered_map<uint32_t, int> value;
  std::vector<uint32_t> stack{node_of(lit)};
  int budget = 2000;
  while (!stack.empty()) {
    const uint32_t n = stack.back();
    if (value.contains(n)) {
      stack.pop_back();
      continue;
    }
    if (--budget < 0) return 2;
    if (n == 0) {
      value[n] = 0;
    } else if (aig.is_leaf(n)) {
      const int s = state_of_node[n];
      value[n] = 2;
      if (s >= 0 && design_.states[states[s].state].variable >= 0) {
        const State& state = design_.states[states[s].state];
        value[n] = design_.variables[state.variable].init[state.bit];
      }
    } else {
      const uint32_t a = node_of(aig.input0(n)), b = node_of(aig.input1(n));
      if (!value.contains(a)) { stack.push_back(a); continue; }
      if (!value.contains(b)) { stack.push_back(b); continue; }
      const auto get = [&](Lit l) { const int v = value[node_of(l)]; return v == 2 ? 2 : v ^ static_cast<int>(is_inverted(l)); };
      const int x = get(aig.input0(n)), y = get(aig.input1(n));
      value[n] = x == 0 || y == 0 ? 0 : x == 1 && y == 1 ? 1 : 2;
    }
    stack.pop_back();
  }
  const int v = value[node_of(lit)];
  return v == 2 ? 2 : v ^ static_cast<int>(is_inverted(lit));
}

void Net::close() {
  for (; closed_ < states.size(); ++closed_) {
    const size_t index = closed_;
    const int state = states[index].state;
    const Lit next = resolve(design_.states[state].next);
    states[index].next = next;
    const State& s = design_.states[state];
    if (s.variable >= 0) states[index].init = design_.variables[s.variable].init[s.bit];
    else states[index].init = s.init_from_next ? 3 : s.init;
  }
  for (StateBit& bit : states) {
    if (bit.init == 3) bit.init = static_cast<uint8_t>(initial_value(bit.next));
  }
}

}  // namespace callie::assertions
