// Sixteen floats as one value on every instruction set, so that float kernels give the same bits
// whatever the vector width: lane i of every partial sum is element i modulo 16, and reductions
// halve 16 -> 8 -> 4 -> 2 -> 1. The scalar target has no fused multiply-add and may differ in the
// last bits.

#if defined(CALLIE_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CALLIE_KERNELS_SIMD_INL_H_
#undef CALLIE_KERNELS_SIMD_INL_H_
#else
#define CALLIE_KERNELS_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "kernels/half.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

constexpr int kWidth = 16;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));
constexpr int kParts = kWidth / kLanes;

#define CALLIE_EACH_PART(i) _Pragma("GCC unroll 16") for (int i = 0; i < kParts; ++i)

/// 16 floats.
struct V16 {
  VF v[kParts];
};
/// 16 int32.
struct I16 {
  VI v[kParts];
};

HWY_INLINE V16 set16(float x) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Set(DF(), x);
  return r;
}
HWY_INLINE V16 zero16() {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Zero(DF());
  return r;
}
HWY_INLINE V16 load16(const float* p) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::LoadU(DF(), p + i * kLanes);
  return r;
}
HWY_INLINE void store16(const V16& a, float* p) {
  CALLIE_EACH_PART(i) hn::StoreU(a.v[i], DF(), p + i * kLanes);
}
/// The first n (1..15) floats of p; the other lanes are `fill`. Reads nothing behind p + n.
HWY_INLINE V16 load16n(const float* p, int64_t n, float fill = 0.0f) {
  HWY_ALIGN float buffer[kWidth];
  store16(set16(fill), buffer);
  std::memcpy(buffer, p, n * sizeof(float));
  return load16(buffer);
}
HWY_INLINE void store16n(const V16& a, float* p, int64_t n) {
  HWY_ALIGN float buffer[kWidth];
  store16(a, buffer);
  std::memcpy(p, buffer, n * sizeof(float));
}

HWY_INLINE V16 add(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Add(a.v[i], b.v[i]);
  return r;
}
HWY_INLINE V16 sub(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Sub(a.v[i], b.v[i]);
  return r;
}
HWY_INLINE V16 mul(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Mul(a.v[i], b.v[i]);
  return r;
}
HWY_INLINE V16 div(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Div(a.v[i], b.v[i]);
  return r;
}
/// a * b + c, rounded once.
HWY_INLINE V16 fma(const V16& a, const V16& b, const V16& c) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::MulAdd(a.v[i], b.v[i], c.v[i]);
  return r;
}
/// c - a * b, rounded once.
HWY_INLINE V16 fnma(const V16& a, const V16& b, const V16& c) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::NegMulAdd(a.v[i], b.v[i], c.v[i]);
  return r;
}
HWY_INLINE V16 max(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Max(a.v[i], b.v[i]);
  return r;
}
HWY_INLINE V16 min(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Min(a.v[i], b.v[i]);
  return r;
}
HWY_INLINE V16 abs(const V16& a) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Abs(a.v[i]);
  return r;
}
HWY_INLINE V16 neg(const V16& a) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Neg(a.v[i]);
  return r;
}
/// a's magnitude with b's sign.
HWY_INLINE V16 copy_sign(const V16& a, const V16& b) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::CopySign(a.v[i], b.v[i]);
  return r;
}
/// To the nearest integer, ties to even, as float.
HWY_INLINE V16 round(const V16& a) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::Round(a.v[i]);
  return r;
}
/// a < b ? yes : no.
HWY_INLINE V16 if_less(const V16& a, const V16& b, const V16& yes, const V16& no) {
  V16 r;
  CALLIE_EACH_PART(i) r.v[i] = hn::IfThenElse(hn::Lt(a.v[i], b.v[i]), yes.v[i], no.v[i]);
  return r;
}
/// 2^n for a float that holds an integer in -126..127.
HWY_INLINE V16 pow2_int(const V16& n) {
  V16 r;
  CALLIE_EACH_PART(i) {
    const VI e = hn::Add(hn::ConvertTo(DI(), n.v[i]), hn::Set(DI(), 127));
    r.v[i] = hn::BitCast(DF(), hn::ShiftLeft<23>(e));
  }
  return r;
}

HWY_INLINE float reduce_add(const V16& a) {
  HWY_ALIGN float x[kWidth];
  store16(a, x);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  }
  return x[0];
}
HWY_INLINE float reduce_max(const V16& a) {
  VF m = a.v[0];
  for (int i = 1; i < kParts; ++i) m = hn::Max(m, a.v[i]);
  return hn::GetLane(hn::MaxOfLanes(DF(), m));
}

/// 16 half-precision numbers, widened (exact).
HWY_INLINE V16 load16_f16(const uint16_t* p) {
  V16 r;
#if HWY_TARGET == HWY_SCALAR
  CALLIE_EACH_PART(i) r.v[i] = hn::Set(DF(), f16_to_f32(p[i]));
#else
  const hn::Rebind<hwy::float16_t, DF> dh;
  CALLIE_EACH_PART(i) {
    r.v[i] =
        hn::PromoteTo(DF(), hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(p) + i * kLanes));
  }
#endif
  return r;
}
/// To half precision, ties to even.
HWY_INLINE void store16_f16(const V16& a, uint16_t* p) {
#if HWY_TARGET == HWY_SCALAR
  CALLIE_EACH_PART(i) p[i] = f32_to_f16(hn::GetLane(a.v[i]));
#else
  const hn::Rebind<hwy::float16_t, DF> dh;
  CALLIE_EACH_PART(i) {
    hn::StoreU(hn::DemoteTo(dh, a.v[i]), dh, reinterpret_cast<hwy::float16_t*>(p) + i * kLanes);
  }
#endif
}
/// 16 signed bytes as floats.
HWY_INLINE V16 load16_i8(const int8_t* p) {
  V16 r;
  const hn::Rebind<int8_t, DF> d8;
  CALLIE_EACH_PART(i) {
    r.v[i] = hn::ConvertTo(DF(), hn::PromoteTo(DI(), hn::LoadU(d8, p + i * kLanes)));
  }
  return r;
}
/// 16 bytes: the low nibbles and the high nibbles as floats 0..15.
HWY_INLINE void load16_nibbles(const uint8_t* p, V16& low, V16& high) {
  const hn::Rebind<uint8_t, DF> d8;
  CALLIE_EACH_PART(i) {
    const VI both = hn::PromoteTo(DI(), hn::LoadU(d8, p + i * kLanes));
    low.v[i] = hn::ConvertTo(DF(), hn::And(both, hn::Set(DI(), 15)));
    high.v[i] = hn::ConvertTo(DF(), hn::ShiftRight<4>(both));
  }
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CALLIE_KERNELS_SIMD_INL_H_
