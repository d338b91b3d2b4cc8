#pragma once

#include <set>
#include <string>

#include "core/philox.h"

namespace callie::assertions {

/// Draws for one pair; a thin view of the counter-based generator.
class Dice {
 public:
  explicit Dice(uint64_t seed) : rng_(seed, Purpose::kData) {}
  int below(int n) { return static_cast<int>(rng_.next_below(static_cast<uint64_t>(n))); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  uint64_t bits() { return rng_.next_u64(); }
  template <typename C>
  const auto& pick(const C& list) { return list[static_cast<size_t>(below(static_cast<int>(std::size(list))))]; }

 private:
  SequentialRng rng_;
};

/// Names for one pair. A root word belongs to the training or to the test split, never to both, and to one role:
/// clocks and resets are never used as data.
class Names {
 public:
  enum class Role { kData, kControl, kSelect, kClock, kReset, kState, kBlock };
  Names(Dice& dice, bool test);

  /// A fresh name; `output` picks among the spellings of outputs where the style has one.
  std::string take(Role role, bool is_output = false);
  /// A fresh reset name that says its active level ("_n" for low).
  std::string take_reset(bool active_low);

 private:
  std::string fresh(const std::string& base);

  Dice& dice_;
  bool test_;
  int style_;
  std::string prefix_;
  std::set<std::string> used_;
};

}  // namespace callie::assertions
