#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace callie::assertions {

/// A literal of an and-inverter graph: twice the node plus one when inverted. Node 0 is the constant false.
using Lit = uint32_t;
constexpr Lit kFalse = 0;
constexpr Lit kTrue = 1;
inline Lit negate(Lit a) { return a ^ 1; }
inline Lit invert_if(Lit a, bool inverted) { return a ^ static_cast<Lit>(inverted); }
inline uint32_t node_of(Lit a) { return a >> 1; }
inline bool is_inverted(Lit a) { return a & 1; }
inline bool is_constant(Lit a) { return a < 2; }

/// A hashed and-inverter graph: equal nodes are built once, constants and one-level identities fold. Nodes are made in
/// topological order, so an and-node's inputs have smaller numbers.
class Aig {
 public:
  Aig();

  /// A node without inputs; `tag` is the owner's.
  Lit leaf(uint32_t tag);
  Lit land(Lit a, Lit b);
  Lit lor(Lit a, Lit b) { return negate(land(negate(a), negate(b))); }
  Lit lxor(Lit a, Lit b);
  Lit lmux(Lit condition, Lit then_value, Lit else_value);
  Lit limplies(Lit a, Lit b) { return negate(land(a, negate(b))); }
  Lit lequiv(Lit a, Lit b) { return negate(lxor(a, b)); }

  bool is_leaf(uint32_t node) const { return nodes_[node].a == kLeafMark; }
  bool is_and(uint32_t node) const { return node != 0 && nodes_[node].a != kLeafMark; }
  uint32_t tag(uint32_t node) const { return nodes_[node].b; }
  Lit input0(uint32_t node) const { return nodes_[node].a; }
  Lit input1(uint32_t node) const { return nodes_[node].b; }
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }

 private:
  static constexpr Lit kLeafMark = 0xffffffff;
  struct Node {
    Lit a, b;
  };
  void grow();

  std::vector<Node> nodes_;
  std::vector<uint32_t> table_;  // open addressing, 0 = empty
  std::size_t used_ = 0;
};

}  // namespace callie::assertions
