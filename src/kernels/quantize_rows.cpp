#include "kernels/quantize_rows.h"

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
  auto largest = hn::Zero(df);
  auto poison = hn::Zero(df);  // NaN once an input is NaN or infinite: Max may drop a NaN
  for (int64_t k = 0; k < kUnitColumns; k += kLanes) {
    const auto v = hn::LoadU(df, x + k);
    largest = hn::Max(largest, hn::Abs(v));
    poison = hn::MulAdd(v, hn::Zero(df), poison);
  }
  const float max = hn::GetLane(hn::MaxOfLanes(df, largest));
  const float bad = hn::GetLane(hn::SumOfLanes(df, poison));
  const float scale = max / 127.0f + bad;
  const float inverse = max > 0x1p-120f && bad == 0.0f ? 127.0f / max : 0.0f;
  const auto factor = hn::Set(df, inverse);
  int32_t sums[2] = {0, 0};
  for (int64_t half = 0; half < 2; ++half) {
    auto sum = hn::Zero(di);
    for (int64_t k = 16 * half; k < 16 * half + 16; k += kLanes) {
      // A unit with a NaN or an infinity gets codes 0 by the mask; its scale carries the NaN.
      const auto v = hn::LoadU(df, x + k);
      const auto clean = hn::IfThenElseZero(hn::IsFinite(v), v);
      const auto code = hn::NearestInt(hn::Mul(clean, factor));
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
