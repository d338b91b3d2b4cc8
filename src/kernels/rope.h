#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"

namespace callie::kernels {

/// Which elements of a head rotate together: (2i, 2i + 1), or (i, i + rotary_dim / 2).
enum class RopeStyle : uint8_t { kInterleaved, kHalf };

enum class RopeScaling : uint8_t { kNone, kLinear, kLlama3, kYarn };

/// Rotary position embedding (arXiv 2104.09864) and its stretchings.
struct RopeOptions {
  RopeStyle style = RopeStyle::kHalf;
  int head_dim = 0;
  int rotary_dim = 0;  ///< the first rotary_dim elements of a head turn (even); 0 means all
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  int64_t original_context = 0;  ///< llama3, yarn: context the model was trained on
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  double beta_fast = 32.0, beta_slow = 1.0;              ///< yarn (arXiv 2309.00071)
  double attention_factor = 0.0;  ///< yarn: scale of cos and sin; 0 means 0.1 ln(factor) + 1
  std::vector<float>
      freq_factors;  ///< [rotary_dim / 2]? divide the frequencies (GGUF's rope_freqs.weight)
  /// Pairs that follow each position axis, in order (M-RoPE sections); empty: all follow axis 0.
  std::vector<int> sections;
};

/// Frequencies of a model's rotary embedding, computed once, in float64.
class Rope {
 public:
  Rope() = default;
  /// Errors: kInvalidArgument (odd or too large rotary_dim, factor <= 0, sections or factors of
  /// another length).
  static StatusOr<Rope> create(const RopeOptions& options);

  /// Floats of a position's table.
  int table_floats() const { return 2 * pairs_; }
  /// Fills a table [cos of each pair | sin of each pair] for one token, once per step for all
  /// layers and heads. `positions` holds one entry per axis; a missing axis takes the first.
  void fill(std::span<const int64_t> positions, float* table) const;

  /// Turns n_heads vectors of head_dim in place.
  void apply(const float* table, float* x, int64_t n_heads) const;

  /// Turns and multiplies by `scale` (the softmax scale of queries): one pass.
  void apply_scaled(const float* table, float* x, int64_t n_heads, float scale) const;

 private:
  RopeStyle style_ = RopeStyle::kHalf;
  int head_dim_ = 0;
  int pairs_ = 0;
  double magnitude_ = 1.0;
  std::vector<double> frequency_;  // [pairs]
  std::vector<uint8_t> axis_;      // [pairs]
};

}  // namespace callie::kernels
