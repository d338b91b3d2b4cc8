#include "kernels/vector_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/vector_ops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "kernels/half.h"
#include "kernels/math-inl.h"
#include "kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

void add_to_row(const float* x, int64_t n, float* y) {
  for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
    store_part(add(load_part(y + i, count), load_part(x + i, count)), y + i, count);
  });
}
void add_scaled_row(float a, const float* x, int64_t n, float* y) {
  const V16 factor = set16(a);
  for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
    store_part(fma(factor, load_part(x + i, count), load_part(y + i, count)), y + i, count);
  });
}
void scale_row(float* x, int64_t n, float a) {
  const V16 factor = set16(a);
  for_each_16(n, [&](int64_t i, int64_t count)
                     HWY_ATTR { store_part(mul(factor, load_part(x + i, count)), x + i, count); });
}
void multiply_rows(const float* x, const float* y, int64_t n, float* out) {
  for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
    store_part(mul(load_part(x + i, count), load_part(y + i, count)), out + i, count);
  });
}
float dot_rows(const float* x, const float* y, int64_t n) {
  return sum_row(n, [&](int64_t i, int64_t count, const V16& acc) HWY_ATTR {
    return fma(load_part(x + i, count), load_part(y + i, count), acc);
  });
}
int64_t argmax_row(const float* x, int64_t n) {
  // First the largest of each lane, then the first place that holds the largest of all.
  V16 largest = set16(-std::numeric_limits<float>::infinity());
  const float lowest = -std::numeric_limits<float>::infinity();
  for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
    const V16 v = load_part(x + i, count, lowest);
    largest = if_less(largest, v, v, largest);
  });
  const float target = reduce_max(largest);
  for (int64_t i = 0; i < n; i += 512) {
    const int64_t end = i + 512 < n ? i + 512 : n;
    bool found = false;
    for (int64_t j = i; j < end; ++j) found |= x[j] == target;
    if (!found) continue;
    for (int64_t j = i; j < end; ++j) {
      if (x[j] == target) return j;
    }
  }
  return 0;
}
/// Sum of e^(x - largest), optionally stored.
HWY_INLINE float exponentials(const float* x, int64_t n, float largest, float* out) {
  const V16 base = set16(largest);
  return sum_row(n, [&](int64_t i, int64_t count, const V16& acc) HWY_ATTR {
    const V16 p =
        exp16(sub(load_part(x + i, count, -std::numeric_limits<float>::infinity()), base));
    if (out != nullptr) store_part(p, out + i, count);
    return add(acc, p);
  });
}
float log_sum_exp_row(const float* x, int64_t n) {
  const float largest = max_row(x, n);
  const float sum = exponentials(x, n, largest, nullptr);
  float log_sum[kWidth];
  store16(log16(set16(sum)), log_sum);
  return largest + log_sum[0];
}
void softmax_row(float* x, int64_t n) {
  const float sum = exponentials(x, n, max_row(x, n), x);
  scale_row(x, n, 1.0f / sum);
}
void to_f16_row(const float* x, int64_t n, uint16_t* out) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store16_f16(load16(x + i), out + i);
  for (; i < n; ++i) out[i] = f32_to_f16(x[i]);
}
void from_f16_row(const uint16_t* x, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store16(load16_f16(x + i), out + i);
  for (; i < n; ++i) out[i] = f16_to_f32(x[i]);
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {

HWY_EXPORT(add_to_row);
HWY_EXPORT(add_scaled_row);
HWY_EXPORT(scale_row);
HWY_EXPORT(multiply_rows);
HWY_EXPORT(dot_rows);
HWY_EXPORT(argmax_row);
HWY_EXPORT(log_sum_exp_row);
HWY_EXPORT(softmax_row);
HWY_EXPORT(to_f16_row);
HWY_EXPORT(from_f16_row);

void add_to(const float* x, int64_t n, float* y) { HWY_DYNAMIC_DISPATCH(add_to_row)(x, n, y); }
void add_scaled(float a, const float* x, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(add_scaled_row)(a, x, n, y);
}
void scale(float* x, int64_t n, float a) { HWY_DYNAMIC_DISPATCH(scale_row)(x, n, a); }
void multiply(const float* x, const float* y, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(multiply_rows)(x, y, n, out);
}
float dot(const float* x, const float* y, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(dot_rows)(x, y, n);
}
float sum_of_squares(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(dot_rows)(x, x, n); }
int64_t argmax(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(argmax_row)(x, n); }
float log_sum_exp(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(log_sum_exp_row)(x, n); }
void softmax(float* x, int64_t n) { HWY_DYNAMIC_DISPATCH(softmax_row)(x, n); }
void to_f16(const float* x, int64_t n, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(to_f16_row)(x, n, out);
}
void from_f16(const uint16_t* x, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(from_f16_row)(x, n, out);
}

}  // namespace callie::kernels
#endif  // HWY_ONCE
