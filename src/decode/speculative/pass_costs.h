#pragma once

#include <cstdint>
#include <vector>

namespace callie::decode {

/// Seconds of a forward pass by its number of rows, T(m), learned from the passes that run anyway. One scale for all
/// widths follows what slows or speeds every pass (context, other load); the ratios between widths follow more slowly.
/// Before a width was seen, its ratio is a typical one.
class PassCosts {
 public:
  PassCosts();

  void add(int64_t rows, double seconds);
  /// In units of T(1) before the first sample. Linear between the widths that are kept, and beyond the last.
  double at(int64_t rows) const;
  bool known() const { return samples_ > 0; }
  /// More than the first samples, which may have found cold memory.
  bool settled() const { return samples_ > kFirstSamples; }

 private:
  static constexpr int64_t kFirstSamples = 4;
  double ratio(int64_t rows) const;

  double scale_ = 1;
  std::vector<double> ratios_;        // to T(1), by knot
  std::vector<int64_t> knot_samples_;
  int64_t samples_ = 0;
};

}  // namespace callie::decode
