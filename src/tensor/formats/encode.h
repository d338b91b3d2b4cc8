#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/half.h"

namespace callie::tensor {

/// A block's scale as stored, and the inverse of the unrounded one.
struct SignedScale {
  uint16_t scale_bits;
  float inverse;
};

inline float inverse_or_zero(float d) { return d == 0.0f ? 0.0f : 1.0f / d; }

/// The element of largest magnitude (the first of equals) becomes `code`: -8 for Q4_0, -16 for
/// Q5_0.
inline SignedScale scale_by_extreme(const float* in, float code) {
  float extreme = in[0];
  for (int i = 1; i < 32; ++i) {
    if (std::fabs(in[i]) > std::fabs(extreme)) extreme = in[i];
  }
  const float d = extreme / code;
  return {kernels::f32_to_f16(d), inverse_or_zero(d)};
}

/// Scale and offset that map [min, max] to 0..levels.
struct RangeScale {
  uint16_t scale_bits, min_bits;
  float min, inverse;
};
inline RangeScale scale_by_range(const float* in, float levels) {
  const auto [low, high] = std::minmax_element(in, in + 32);
  const float d = (*high - *low) / levels;
  return {kernels::f32_to_f16(d), kernels::f32_to_f16(*low), *low, inverse_or_zero(d)};
}

/// trunc(scaled + offset), at most `limit`.
inline int round_clamped(float scaled, float offset, int limit) {
  return std::clamp(static_cast<int>(scaled + offset), 0, limit);
}

}  // namespace callie::tensor
