#include "kernels/rope.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

/// Pairs (i, i + pairs): (a, b) becomes (a cos - b sin, b cos + a sin), the second product rounded
/// once with the sum.
void rotate_half(const float* table, float* x, int64_t n_heads, int64_t head_dim, int64_t pairs) {
  for (int64_t h = 0; h < n_heads; ++h, x += head_dim) {
    float* y = x + pairs;
    for_each_16(pairs, [&](int64_t i, int64_t count) HWY_ATTR {
      const V16 c = load_part(table + i, count), s = load_part(table + pairs + i, count);
      const V16 a = load_part(x + i, count), b = load_part(y + i, count);
      store_part(fnma(b, s, mul(a, c)), x + i, count);
      store_part(fma(a, s, mul(b, c)), y + i, count);
    });
  }
}

/// Pairs (2i, 2i + 1), the same arithmetic.
void rotate_interleaved(const float* table, float* x, int64_t n_heads, int64_t head_dim,
                        int64_t pairs) {
  for (int64_t h = 0; h < n_heads; ++h, x += head_dim) {
    for_each_16(pairs, [&](int64_t i, int64_t count) HWY_ATTR {
      HWY_ALIGN float part[2 * kWidth] = {};
      float* at = count == kWidth ? x + 2 * i : part;
      if (at == part) std::memcpy(part, x + 2 * i, 2 * count * sizeof(float));
      const V16 c = load_part(table + i, count), s = load_part(table + pairs + i, count);
      V16 a, b;
      CALLIE_EACH_PART(p) hn::LoadInterleaved2(DF(), at + 2 * p * kLanes, a.v[p], b.v[p]);
      const V16 first = fnma(b, s, mul(a, c)), second = fma(a, s, mul(b, c));
      CALLIE_EACH_PART(p) hn::StoreInterleaved2(first.v[p], second.v[p], DF(), at + 2 * p * kLanes);
      if (at == part) std::memcpy(x + 2 * i, part, 2 * count * sizeof(float));
    });
  }
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

/// Llama 3.1's stretching: low frequencies are divided by the factor, high ones stay, a ramp lies
/// between.
double stretch_llama3(double frequency, const RopeOptions& o) {
  const double turns = static_cast<double>(o.original_context) * frequency / kTwoPi;
  if (turns < o.low_freq_factor) return frequency / o.factor;
  if (turns > o.high_freq_factor) return frequency;
  const double smooth = (turns - o.low_freq_factor) / (o.high_freq_factor - o.low_freq_factor);
  return (1.0 - smooth) * frequency / o.factor + smooth * frequency;
}

/// The pair whose wave makes `turns` turns over the original context.
double yarn_pair(double turns, const RopeOptions& o, int rotary_dim) {
  return rotary_dim * std::log(static_cast<double>(o.original_context) / (turns * kTwoPi)) /
         (2.0 * std::log(o.base));
}

double stretch_yarn(double frequency, int pair, const RopeOptions& o, int rotary_dim) {
  const double low = std::max(0.0, std::floor(yarn_pair(o.beta_fast, o, rotary_dim)));
  const double high = std::min(rotary_dim - 1.0, std::ceil(yarn_pair(o.beta_slow, o, rotary_dim)));
  const double ramp = std::clamp((pair - low) / std::max(0.001, high - low), 0.0, 1.0);
  return ramp * frequency / o.factor + (1.0 - ramp) * frequency;
}

}  // namespace

HWY_EXPORT(rotate_half);
HWY_EXPORT(rotate_interleaved);

StatusOr<Rope> Rope::create(const RopeOptions& o) {
  const int rotary = o.rotary_dim == 0 ? o.head_dim : o.rotary_dim;
  if (rotary < 2 || rotary % 2 != 0 || rotary > o.head_dim) {
    return invalid_argument(
        "rope: rotary dimension {} of a head of {}: must be even and not larger", rotary,
        o.head_dim);
  }
  if (!(o.factor > 0.0) || !(o.base > 1.0)) {
    return invalid_argument("rope: factor {} and base {}: must be positive, base above 1", o.factor,
                            o.base);
  }
  const bool needs_context = o.scaling == RopeScaling::kLlama3 || o.scaling == RopeScaling::kYarn;
  if (needs_context && o.original_context < 1) {
    return invalid_argument("rope: scaling needs the original context length, got {}",
                            o.original_context);
  }
  Rope rope;
  rope.style_ = o.style;
  rope.head_dim_ = o.head_dim;
  rope.pairs_ = rotary / 2;
  if (!o.freq_factors.empty() && static_cast<int>(o.freq_factors.size()) != rope.pairs_) {
    return invalid_argument("rope: {} frequency factors for {} pairs", o.freq_factors.size(),
                            rope.pairs_);
  }
  if (o.scaling == RopeScaling::kYarn) {
    rope.magnitude_ = o.attention_factor > 0.0 ? o.attention_factor
                      : o.factor > 1.0         ? 0.1 * std::log(o.factor) + 1.0
                                               : 1.0;
  }
  for (int i = 0; i < rope.pairs_; ++i) {
    double frequency = std::pow(o.base, -2.0 * i / rotary);
    switch (o.scaling) {
      case RopeScaling::kNone:
        break;
      case RopeScaling::kLinear:
        frequency /= o.factor;
        break;
      case RopeScaling::kLlama3:
        frequency = stretch_llama3(frequency, o);
        break;
      case RopeScaling::kYarn:
        frequency = stretch_yarn(frequency, i, o, rotary);
        break;
    }
    if (!o.freq_factors.empty()) frequency /= o.freq_factors[i];
    rope.frequency_.push_back(frequency);
  }
  rope.axis_.assign(rope.pairs_, 0);
  if (!o.sections.empty()) {
    int pair = 0;
    for (size_t axis = 0; axis < o.sections.size(); ++axis) {
      for (int i = 0; i < o.sections[axis] && pair < rope.pairs_; ++i)
        rope.axis_[pair++] = static_cast<uint8_t>(axis);
    }
    if (pair != rope.pairs_)
      return invalid_argument("rope: sections cover {} of {} pairs", pair, rope.pairs_);
  }
  return rope;
}

void Rope::fill(std::span<const int64_t> positions, float* table) const {
  for (int i = 0; i < pairs_; ++i) {
    const int64_t position = positions[axis_[i] < positions.size() ? axis_[i] : 0];
    const double angle = static_cast<double>(position) * frequency_[i];
    table[i] = static_cast<float>(std::cos(angle) * magnitude_);
    table[pairs_ + i] = static_cast<float>(std::sin(angle) * magnitude_);
  }
}

void Rope::apply(const float* table, float* x, int64_t n_heads) const {
  if (style_ == RopeStyle::kHalf) {
    HWY_DYNAMIC_DISPATCH(rotate_half)(table, x, n_heads, head_dim_, pairs_);
  } else {
    HWY_DYNAMIC_DISPATCH(rotate_interleaved)(table, x, n_heads, head_dim_, pairs_);
  }
}

void Rope::apply_scaled(const float* table, float* x, int64_t n_heads, float scale) const {
  apply(table, x, n_heads);
  for (int64_t i = 0; i < n_heads * head_dim_; ++i) x[i] *= scale;
}

}  // namespace callie::kernels
#endif  // HWY_ONCE
