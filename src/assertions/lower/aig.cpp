#include "assertions/lower/aig.h"

#include <cstddef>
#include <utility>

namespace callie::assertions {
namespace {

std::size_t hash_pair(Lit a, Lit b) {
  uint64_t x = (static_cast<uint64_t>(a) << 32 | b) * 0x9e3779b97f4a7c15ULL;
  return static_cast<std::size_t>(x ^ x >> 29);
}

}  // namespace

Aig::Aig() : nodes_(1, Node{0, 0}), table_(256, 0) {}

Lit Aig::leaf(uint32_t tag) {
  nodes_.push_back({kLeafMark, tag});
  return static_cast<Lit>(nodes_.size() - 1) << 1;
}

void Aig::grow() {
  std::vector<uint32_t> old = std::move(table_);
  table_.assign(old.size() * 2, 0);
  for (uint32_t node : old) {
    if (!node) continue;
    std::size_t slot = hash_pair(nodes_[node].a, nodes_[node].b) & (table_.size() - 1);
    while (table_[slot]) slot = (slot + 1) & (table_.size() - 1);
    table_[slot] = node;
  }
}

Lit Aig::land(Lit a, Lit b) {
  if (a > b) std::swap(a, b);
  if (a == kFalse || a == negate(b)) return kFalse;
  if (a == kTrue || a == b) return b;
  // One level down: x & (x & y) = x & y, x & !(x & y) = x & !y, !x & (x & y) = 0.
  for (int side = 0; side < 2; ++side) {
    const Lit x = side ? b : a;
    const Lit f = side ? a : b;
    const uint32_t n = node_of(f);
    if (!is_and(n)) continue;
    const Lit p = nodes_[n].a, q = nodes_[n].b;
    if (!is_inverted(f)) {
      if (x == p || x == q) return f;
      if (x == negate(p) || x == negate(q)) return kFalse;
    } else {
      if (x == negate(p) || x == negate(q)) return x;
      if (x == p) return land(x, negate(q));
      if (x == q) return land(x, negate(p));
    }
  }
  std::size_t slot = hash_pair(a, b) & (table_.size() - 1);
  while (table_[slot]) {
    const Node& node = nodes_[table_[slot]];
    if (node.a == a && node.b == b) return table_[slot] << 1;
    slot = (slot + 1) & (table_.size() - 1);
  }
  nodes_.push_back({a, b});
  const auto node = static_cast<uint32_t>(nodes_.size() - 1);
  table_[slot] = node;
  if (++used_ * 2 > table_.size()) grow();
  return node << 1;
}

Lit Aig::lxor(Lit a, Lit b) {
  if (is_constant(a)) return invert_if(b, a == kTrue);
  if (is_constant(b)) return invert_if(a, b == kTrue);
  if (a == b) return kFalse;
  if (a == negate(b)) return kTrue;
  const bool inverted = is_inverted(a) != is_inverted(b);
  a &= ~Lit{1};
  b &= ~Lit{1};
  return invert_if(lor(land(a, negate(b)), land(negate(a), b)), inverted);
}

Lit Aig::lmux(Lit condition, Lit then_value, Lit else_value) {
  if (condition == kTrue || then_value == else_value) return then_value;
  if (condition == kFalse) return else_value;
  if (then_value == negate(else_value)) return lxor(condition, else_value);
  return negate(land(negate(land(condition, then_value)), negate(land(negate(condition), else_value))));
}

}  // namespace callie::assertions
