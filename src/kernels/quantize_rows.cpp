#include "kernels/quantize_rows.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace callie::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// One token's 32 columns into its places in a record of n tokens.
HWY_INLINE void quantize_unit(const float* HWY_RESTRICT x, uint8_t* HWY_RESTRICT record, int64_t n,
                              int64_t t) {
  const hn::CappedTag<float, 16> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::Rebind<int8_t, decltype(df)> d8;
  constexpr int64_t kLanes = hn::MaxLanes(df);
  // Magnitudes are compared as integers: the same order, and NaN and infinity are the largest.
  auto largest = hn::Zero(di);
  for (int64_t k = 0; k < kUnitColumns; k += kLanes) {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, x + k))));
  }
  const int32_t bits = hn::GetLane(hn::MaxOfLanes(di, largest));
  float max;
  hwy::CopyBytes<4>(&bits, &max);
  const bool bad = bits >= 0x7f800000;
  const float scale = bad ? std::numeric_limits<float>::quiet_NaN() : max / 127.0f;
  const float inverse = max > 0x1p-120f && !bad ? 127.0f / max : 0.0f;
  const auto factor = hn::Set(df, inverse);
  // Added to a number of at most 127 in magnitude, it leaves the nearest integer in the low bits.
  const auto round = hn::Set(df, 0x1.8p23f);
  int32_t sums[2] = {0, 0};
  for (int64_t half = 0; half < 2; ++half) {
    auto sum = hn::Zero(di);
    for (int64_t k = 16 * half; k < 16 * half + 16; k += kLanes) {
      auto v = hn::LoadU(df, x + k);
      // A unit with a NaN or an infinity gets codes 0; its scale carries the NaN.
      if (HWY_UNLIKELY(bad)) v = hn::Zero(df);
      const auto shifted = hn::Add(hn::Mul(v, factor), round);
      const auto code = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, round));
      sum = hn::Add(sum, code);
      hn::StoreU(hn::DemoteTo(d8, code), d8, reinterpret_cast<int8_t*>(record + 32 * t + k));
    }
    sums[half] = hn::GetLane(hn::SumOfLanes(di, sum));
  }
  const float total = scale * static_cast<float>(sums[0] + sums[1]);
  const int32_t minus[3] = {-(sums[0] + sums[1]), -sums[0], -sums[1]};
  hwy::CopyBytes<4>(&scale, record + 32 * n + 4 * t);
  hwy::CopyBytes<4>(&total, record + 36 * n + 4 * t);
  for (int64_t i = 0; i < 3; ++i) {
    hwy::CopyBytes<4>(&minus[i], record + (40 + 4 * i) * n + 4 * t);
  }
}

void quantize_range(const float* x, int64_t ldx, const QuantizedRows& out, int64_t token_begin,
                    int64_t token_end, int64_t unit_begin, int64_t unit_end) {
  for (int64_t token = token_begin; token < token_end; ++token) {
    const int64_t tile = token / QuantizedRows::kTile;
    const int64_t n = out.tile_tokens(tile);
    const int64_t t = token % QuantizedRows::kTile;
    uint8_t* record = out.record(tile, unit_begin);
    const float* row = x + token * ldx;
    for (int64_t unit = unit_begin; unit < unit_end; ++unit) {
      quantize_unit(row + unit * kUnitColumns, record, n, t);
      record += n * QuantizedRows::kTokenBytes;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace callie::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {
HWY_EXPORT(quantize_range);

void quantize_rows(const float* x, int64_t ldx, const QuantizedRows& out, int64_t token_begin,
                   int64_t token_end, int64_t unit_begin, int64_t unit_end) {
  HWY_DYNAMIC_DISPATCH(quantize_range)
  (x, ldx, out, token_begin, token_end, unit_begin, unit_end);
}

}  // namespace callie::kernels
#endif
