#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/matmul_kernels.h"
#include "kernels/packed_layout.h"

namespace callie::kernels {
namespace {

/// One token's part of a record.
struct TokenUnit {
  const int8_t* code;
  float scale, sum;
  int32_t minus_sum[2];  ///< per half
};

TokenUnit token_unit(const QuantizedRows& x, int64_t token, int64_t unit) {
  const int64_t tile = token / QuantizedRows::kTile;
  const int64_t n = x.tile_tokens(tile);
  const int64_t t = token % QuantizedRows::kTile;
  const uint8_t* record = x.record(tile, unit);
  TokenUnit out;
  out.code = reinterpret_cast<const int8_t*>(record + 32 * t);
  std::memcpy(&out.scale, record + 32 * n + 4 * t, 4);
  std::memcpy(&out.sum, record + 36 * n + 4 * t, 4);
  std::memcpy(&out.minus_sum[0], record + 44 * n + 4 * t, 4);
  std::memcpy(&out.minus_sum[1], record + 48 * n + 4 * t, 4);
  return out;
}

/// Adds one unit to an output, with the roundings of every vector kernel.
float add_unit(const PackedFamily& f, const UnitValues& w, const TokenUnit& x, float y) {
  const int halves = static_cast<int>(kUnitColumns) / f.group;
  float part[2] = {0.0f, 0.0f};
  int32_t total = 0;
  for (int half = 0; half < 2; ++half) {
    int32_t dot = 0;
    for (int k = 16 * half; k < 16 * half + 16; ++k) {
      dot += static_cast<int32_t>(w.code[k]) * x.code[k];
    }
    dot += static_cast<int32_t>(f.zero) * x.minus_sum[half];
    total += dot;
    part[half] = static_cast<float>(dot);
  }
  if (halves == 1) {
    y = std::fma(static_cast<float>(total), w.scale[0] * x.scale, y);
    return f.has_min() ? std::fma(w.min[0], x.sum, y) : y;
  }
  float sum = std::fma(part[1], w.scale[1], part[0] * w.scale[0]);
  if (f.has_min()) {
    sum = std::fma(-static_cast<float>(x.minus_sum[0]), w.min[0], sum);
    sum = std::fma(-static_cast<float>(x.minus_sum[1]), w.min[1], sum);
  }
  return std::fma(sum, x.scale, y);
}

void matmul_scalar(const PackedView& w, const QuantizedRows& x, int64_t panel_begin,
                   int64_t panel_end, float* y, int64_t ldy) {
  const int64_t row_end = std::min(w.rows, panel_end * kPanelRows);
  for (int64_t row = panel_begin * kPanelRows; row < row_end; ++row) {
    for (int64_t token = 0; token < x.m; ++token) y[token * ldy + row] = 0.0f;
    for (int64_t unit = 0; unit < w.units(); ++unit) {
      UnitValues values;
      read_unit(w, row, unit, values);
      for (int64_t token = 0; token < x.m; ++token) {
        float& out = y[token * ldy + row];
        out = add_unit(w.family, values, token_unit(x, token, unit), out);
      }
    }
  }
}

void add_column(float weight, const float* x, int64_t ldx, int64_t m, float* y, int64_t ldy) {
  for (int64_t token = 0; token < m; ++token) {
    y[token * ldy] = std::fma(weight, x[token * ldx], y[token * ldy]);
  }
}

void matmul_f32_scalar(const PackedView& w, const float* x, int64_t ldx, int64_t m,
                       int64_t panel_begin, int64_t panel_end, float* y, int64_t ldy) {
  const int64_t row_end = std::min(w.rows, panel_end * kPanelRows);
  for (int64_t row = panel_begin * kPanelRows; row < row_end; ++row) {
    for (int64_t token = 0; token < m; ++token) y[token * ldy + row] = 0.0f;
    if (w.family.is_float()) {
      for (int64_t k = 0; k < w.cols; ++k) {
        add_column(float_weight(w, row, k), x + k, ldx, m, y + row, ldy);
      }
      continue;
    }
    for (int64_t unit = 0; unit < w.units(); ++unit) {
      UnitValues values;
      read_unit(w, row, unit, values);
      for (int64_t k = 0; k < kUnitColumns; ++k) {
        add_column(unit_weight(w.family, values, k), x + unit * kUnitColumns + k, ldx, m, y + row,
                   ldy);
      }
    }
  }
}

int64_t dot_peak_scalar(int64_t iterations) {
  volatile int32_t sink = 1;
  int32_t sum = sink;
  for (int64_t i = 0; i < iterations; ++i) {
    for (int chain = 0; chain < 64; ++chain) sum += sum * chain;
    sink = sum;
  }
  return iterations * 64;
}

constexpr MatmulKernels kScalar = {"scalar", matmul_scalar, matmul_f32_scalar, dot_peak_scalar};

}  // namespace

const MatmulKernels* scalar_matmul_kernels() { return &kScalar; }

}  // namespace callie::kernels
