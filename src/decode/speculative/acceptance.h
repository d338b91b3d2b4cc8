#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace callie::decode {

/// How often drafted tokens stand, by how sure their source was. Starts from a guess and forgets slowly.
template <size_t kBuckets>
class Acceptance {
 public:
  explicit Acceptance(const std::array<double, kBuckets>& guess) {
    for (size_t i = 0; i < kBuckets; ++i) cells_[i] = {guess[i], kGuessWeight};
  }
  double at(size_t bucket) const { return cells_[bucket].mean; }
  void add(size_t bucket, bool stood) {
    Cell& cell = cells_[bucket];
    cell.weight = std::min(cell.weight + 1, kMemory);
    cell.mean += ((stood ? 1.0 : 0.0) - cell.mean) / cell.weight;
  }

 private:
  static constexpr double kGuessWeight = 6;  // the guess counts like so many samples
  static constexpr double kMemory = 64;
  struct Cell {
    double mean = 0, weight = 0;
  };
  std::array<Cell, kBuckets> cells_;
};

/// Buckets of a draft model's margin (Sampler::choose).
inline constexpr std::array<float, 9> kMarginEdges = {0.15f, 0.4f, 0.8f, 1.3f, 2.0f, 3.0f, 4.5f, 6.5f, 9.0f};
inline size_t margin_bucket(float margin) {
  return std::lower_bound(kMarginEdges.begin(), kMarginEdges.end(), margin) - kMarginEdges.begin();
}
using MarginAcceptance = Acceptance<kMarginEdges.size() + 1>;
inline MarginAcceptance typical_margin_acceptance() {
  return MarginAcceptance({0.45, 0.5, 0.55, 0.6, 0.7, 0.78, 0.87, 0.93, 0.975, 0.99});
}

/// Buckets of a look-up's match length.
inline constexpr std::array<int, 9> kMatchEdges = {1, 2, 3, 4, 6, 9, 15, 31, 63};
inline size_t match_bucket(int length) {
  return std::lower_bound(kMatchEdges.begin(), kMatchEdges.end(), length) - kMatchEdges.begin();
}
using MatchAcceptance = Acceptance<kMatchEdges.size() + 1>;
inline MatchAcceptance typical_match_acceptance() {
  return MatchAcceptance({0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97});
}

}  // namespace callie::decode
