// Per-target header, the first one of matmul_target-inl.h. CALLIE_DOT says which dot product the target has
// (1: AVX2, 2: AVX-VNNI, 3: AVX-512VL VNNI in 256 bits, 4: AVX-512 VNNI, 5: NEON).

namespace hn = hwy::HWY_NAMESPACE;

/// A panel's 16 rows are kParts vectors of kLanes 32-bit lanes; kernels run part by part.
using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using D8 = hn::Repartition<uint8_t, DI>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
constexpr DF kDf;
constexpr DI kDi;
constexpr int64_t kLanes = hn::MaxLanes(kDf);
constexpr int64_t kParts = kPanelRows / kLanes;

HWY_INLINE VI load_codes(const uint8_t* p) {
  return hn::LoadU(kDi, reinterpret_cast<const int32_t*>(p));
}
/// The same four bytes in every lane; folds into the memory operand of the instruction that uses
/// it.
HWY_INLINE VI broadcast_codes(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return hn::Set(kDi, four);
}
HWY_INLINE VF broadcast_float(const uint8_t* p) {
  float value;
  __builtin_memcpy(&value, p, 4);
  return hn::Set(kDf, value);
}

/// acc + Σ of four products u8 × s8 in each 32-bit lane, exact. `kBits` bounds the unsigned
/// operand: AVX2's 16-bit pair sums hold 2·127·127 but not 2·255·127, so 8-bit codes there take the
/// top bit apart.
template <int kBits>
HWY_INLINE VI dot4(VI acc, VI w, VI x) {
#if CALLIE_DOT == 4
  return VI{_mm512_dpbusd_epi32(acc.raw, w.raw, x.raw)};
#elif CALLIE_DOT == 3
  return VI{_mm256_dpbusd_epi32(acc.raw, w.raw, x.raw)};
#elif CALLIE_DOT == 2
  return VI{_mm256_dpbusd_avx_epi32(acc.raw, w.raw, x.raw)};
#elif CALLIE_DOT == 1
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (kBits < 8) {
    const __m256i pairs = _mm256_maddubs_epi16(w.raw, x.raw);
    return VI{_mm256_add_epi32(acc.raw, _mm256_madd_epi16(pairs, ones))};
  } else {
    const __m256i low = _mm256_and_si256(w.raw, _mm256_set1_epi8(127));
    const __m256i top = _mm256_and_si256(_mm256_srli_epi16(w.raw, 7), _mm256_set1_epi8(1));
    const __m256i low_sum = _mm256_madd_epi16(_mm256_maddubs_epi16(low, x.raw), ones);
    const __m256i top_sum =
        _mm256_madd_epi16(_mm256_maddubs_epi16(top, x.raw), _mm256_set1_epi16(128));
    return VI{_mm256_add_epi32(acc.raw, _mm256_add_epi32(low_sum, top_sum))};
  }
#elif CALLIE_DOT == 5
  const uint8x16_t codes = vreinterpretq_u8_s32(w.raw);
  const int8x16_t values = vreinterpretq_s8_s32(x.raw);
  const int16x8_t w0 = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));
  const int16x8_t w1 = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes)));
  const int16x8_t x0 = vmovl_s8(vget_low_s8(values));
  const int16x8_t x1 = vmovl_s8(vget_high_s8(values));
  const int32x4_t lane0 = vmull_s16(vget_low_s16(w0), vget_low_s16(x0));
  const int32x4_t lane1 = vmull_s16(vget_high_s16(w0), vget_high_s16(x0));
  const int32x4_t lane2 = vmull_s16(vget_low_s16(w1), vget_low_s16(x1));
  const int32x4_t lane3 = vmull_s16(vget_high_s16(w1), vget_high_s16(x1));
  const int32x4_t sums = vpaddq_s32(vpaddq_s32(lane0, lane1), vpaddq_s32(lane2, lane3));
  return VI{vaddq_s32(acc.raw, sums)};
#endif
}

/// Writes the first `n` lanes.
HWY_INLINE void store_lanes(VF v, float* out, int64_t n) {
  if (HWY_LIKELY(n >= kLanes)) {
    hn::StoreU(v, kDf, out);
    return;
  }
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, kDf, lanes);
  for (int64_t i = 0; i < n; ++i) out[i] = lanes[i];
}
HWY_INLINE VF load_lanes(const float* in, int64_t n) {
  if (HWY_LIKELY(n >= kLanes)) return hn::LoadU(kDf, in);
  HWY_ALIGN float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = in[i];
  return hn::Load(kDf, lanes);
}
