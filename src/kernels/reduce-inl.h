// Walks over a row, and sums of it in 32 partial sums: the same bits on every instruction set and
// alignment.

#if defined(CALLIE_KERNELS_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CALLIE_KERNELS_REDUCE_INL_H_
#undef CALLIE_KERNELS_REDUCE_INL_H_
#else
#define CALLIE_KERNELS_REDUCE_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

/// `count` (1..16) floats; lanes behind them are `fill`.
HWY_INLINE V16 load_part(const float* p, int64_t count, float fill = 0.0f) {
  return count == kWidth ? load16(p) : load16n(p, count, fill);
}
HWY_INLINE void store_part(const V16& a, float* p, int64_t count) {
  if (count == kWidth) {
    store16(a, p);
  } else {
    store16n(a, p, count);
  }
}

/// f(i, count) for every 16 elements and once for the rest.
template <class F>
HWY_INLINE void for_each_16(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) f(i, kWidth);
  if (i < n) f(i, n - i);
}

/// Sum of a row: `term(i, count, sum)` returns sum plus the terms of elements i..i+count-1 (0 in
/// lanes behind them). Element i belongs to partial sum i modulo 32.
template <class F>
HWY_INLINE float sum_row(int64_t n, const F& term) {
  V16 a = zero16(), b = zero16();
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    a = term(i, kWidth, a);
    b = term(i + kWidth, kWidth, b);
  }
  const int64_t left = n - i;
  if (left > 0) a = term(i, left < kWidth ? left : kWidth, a);
  if (left > kWidth) b = term(i + kWidth, left - kWidth, b);
  return reduce_add(add(a, b));
}

/// Largest element of a row; n >= 1.
HWY_INLINE float max_row(const float* x, int64_t n) {
  V16 largest = set16(x[0]);
  for_each_16(n, [&](int64_t i, int64_t count)
                     HWY_ATTR { largest = max(largest, load_part(x + i, count, x[0])); });
  return reduce_max(largest);
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CALLIE_KERNELS_REDUCE_INL_H_
