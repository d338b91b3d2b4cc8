// Elementary functions on 16 floats. Polynomials are weighted least squares iterated towards
// minimax on the reduced range (tests/kernels/math_test.cpp measures the errors stated here). Only
// IEEE-exact operations and fused multiply-adds are used, so every instruction set with those gives
// the same bits.

#if defined(CALLIE_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CALLIE_KERNELS_MATH_INL_H_
#undef CALLIE_KERNELS_MATH_INL_H_
#else
#define CALLIE_KERNELS_MATH_INL_H_
#endif

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

/// 2^x for x <= 0, as softmax needs it: relative error below 2e-7; exactly 1 at 0, exactly 0 below
/// -64 (also for -infinity), so that no denormal number ever meets a multiply-add.
HWY_INLINE V16 exp2_nonpositive(const V16& x) {
  const V16 clamped = max(x, set16(-100.0f));
  const V16 n = round(clamped);
  const V16 f = sub(clamped, n);
  V16 p = set16(0x1.41fbbap-13f);
  p = fma(p, f, set16(0x1.5f3e54p-10f));
  p = fma(p, f, set16(0x1.3b2d4cp-7f));
  p = fma(p, f, set16(0x1.c6aee8p-5f));
  p = fma(p, f, set16(0x1.ebfbdcp-3f));
  p = fma(p, f, set16(0x1.62e430p-1f));
  p = fma(p, f, set16(1.0f));
  return if_less(x, set16(-64.0f), zero16(), mul(p, pow2_int(n)));
}

/// e^x: relative error below 2e-7 in [-87, 88.7]; 0 below -87.3, infinity above 88.72.
HWY_INLINE V16 exp16(const V16& x) {
  const V16 clamped = min(max(x, set16(-88.0f)), set16(89.0f));
  const V16 n = round(mul(clamped, set16(0x1.715476p0f)));
  V16 f = fnma(n, set16(0x1.62e400p-1f),
               clamped);  // ln 2 in two pieces; the first has 15 bits, n * it is exact
  f = fnma(n, set16(0x1.7f7d1cp-20f), f);
  V16 p = set16(0x1.6ae722p-10f);
  p = fma(p, f, set16(0x1.126790p-7f));
  p = fma(p, f, set16(0x1.555822p-5f));
  p = fma(p, f, set16(0x1.55541ap-3f));
  p = fma(p, f, set16(0x1.fffffcp-2f));
  p = fma(p, f, set16(1.0f));
  p = fma(p, f, set16(1.0f));
  const V16 half = round(mul(n, set16(0.5f)));  // two factors: n reaches 128
  const V16 value = mul(mul(p, pow2_int(half)), pow2_int(sub(n, half)));
  return if_less(x, set16(-87.3f), zero16(), value);
}

/// 1 / (1 + e^-x): absolute error below 2e-7.
HWY_INLINE V16 sigmoid16(const V16& x) { return div(set16(1.0f), add(set16(1.0f), exp16(neg(x)))); }

/// tanh: absolute error below 2e-7.
HWY_INLINE V16 tanh16(const V16& x) {
  const V16 e = exp16(mul(abs(x), set16(-2.0f)));
  return copy_sign(div(sub(set16(1.0f), e), add(set16(1.0f), e)), x);
}

/// Natural logarithm of positive normal numbers: error below 2e-7 relative or 1e-7 absolute near 1.
HWY_INLINE V16 log16(const V16& x) {
  V16 exponent, m;
  CALLIE_EACH_PART(i) {
    // m in [sqrt(1/2), sqrt(2)): take the exponent of x / sqrt(1/2).
    const VI bits = hn::BitCast(DI(), x.v[i]);
    const VI e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(DI(), 0x3F3504F3)));
    m.v[i] = hn::BitCast(DF(), hn::Sub(bits, hn::ShiftLeft<23>(e)));
    exponent.v[i] = hn::ConvertTo(DF(), e);
  }
  const V16 z = sub(m, set16(1.0f));
  const V16 z2 = mul(z, z);
  V16 p = set16(0x1.1462aep-4f);
  p = fma(p, z, set16(-0x1.de4f84p-4f));
  p = fma(p, z, set16(0x1.e6f626p-4f));
  p = fma(p, z, set16(-0x1.fc1f72p-4f));
  p = fma(p, z, set16(0x1.2336e0p-3f));
  p = fma(p, z, set16(-0x1.555c5ap-3f));
  p = fma(p, z, set16(0x1.99a4bcp-3f));
  p = fma(p, z, set16(-0x1.000006p-2f));
  p = fma(p, z, set16(0x1.555548p-2f));
  V16 r = mul(mul(p, z), z2);
  r = fma(exponent, set16(0x1.7f7d1cp-20f), r);
  r = fma(z2, set16(-0.5f), r);
  r = add(r, z);
  return fma(exponent, set16(0x1.62e400p-1f), r);
}

/// The error function: absolute error below 3e-7.
HWY_INLINE V16 erf16(const V16& x) {
  const V16 a = min(abs(x), set16(4.0f));
  const V16 t = mul(a, a);
  V16 small = set16(0x1.496a28p-14f);
  small = fma(small, t, set16(-0x1.a3f6fcp-11f));
  small = fma(small, t, set16(0x1.5405b2p-8f));
  small = fma(small, t, set16(-0x1.b7f90cp-6f));
  small = fma(small, t, set16(0x1.ce2cf8p-4f));
  small = fma(small, t, set16(-0x1.81273ep-2f));
  small = fma(small, t, set16(0x1.20dd74p+0f));
  small = mul(small, a);
  V16 q = set16(-0x1.0ddc1cp-22f);
  q = fma(q, a, set16(0x1.a8b644p-16f));
  q = fma(q, a, set16(-0x1.e65126p-12f));
  q = fma(q, a, set16(0x1.18a676p-8f));
  q = fma(q, a, set16(-0x1.9fb868p-6f));
  q = fma(q, a, set16(0x1.bcfc3ep-4f));
  q = fma(q, a, set16(0x1.441dc4p-1f));
  q = fma(q, a, set16(0x1.21317ap+0f));
  q = fma(q, a, set16(-0x1.ac92e0p-13f));
  const V16 large = sub(set16(1.0f), exp16(neg(q)));
  return copy_sign(if_less(a, set16(1.0f), small, large), x);
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CALLIE_KERNELS_MATH_INL_H_
