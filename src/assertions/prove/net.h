#pragma once

#include <unordered_map>
#include <vector>

#include "assertions/elaborate/design.h"

namespace callie::assertions {

/// The design as one graph over inputs and states, with drivers put in the place of variables.
class Net {
 public:
  explicit Net(Design& design) : design_(design) {}

  /// Throws SourceError on a combinational loop (names a variable on it).
  Lit resolve(Lit lit);

  struct Input {
    Lit lit;
    int variable = -1, bit = 0;   ///< of a free variable
    bool is_unknown = false;      ///< stands for an x; else free
    Span span;
  };
  struct StateBit {
    Lit lit;
    int state;                    ///< of the design
    Lit next = kFalse;
    uint8_t init = 2;
  };

  /// Resolves what the states made so far need, and their initial values.
  void close();

  Aig aig;
  std::vector<Input> inputs;
  std::vector<StateBit> states;
  std::vector<int> input_of_node, state_of_node;  ///< by node, -1

 private:
  Lit make_leaf(uint32_t node);
  Lit new_state_bit(int state);
  Lit new_input(Input input);
  Lit make_history(int state, Lit own);
  Lit first_cycle();
  /// The value before the first clock: registers at their initializers, everything else free, and the same for every
  /// history that asks (the default sampled values of IEEE 1800-2017, 16.5.1).
  Lit before_start(Lit root);

  Design& design_;
  std::vector<Lit> map_;          // unresolved node -> resolved literal, kUndriven when open
  std::vector<uint8_t> color_;
  std::vector<Lit> before_;       // unresolved node -> its literal before the first clock
  std::vector<bool> is_register_; // variable
  Lit first_cycle_ = kFalse;
  size_t closed_ = 0;
};

}  // namespace callie::assertions
