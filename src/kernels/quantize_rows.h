#pragma once

#include <cstdint>

#include "kernels/packed_view.h"

namespace callie::kernels {

/// Activations of m tokens as the integer kernels read them: int8 codes per token and unit of 32
/// columns, with x ≈ scale·code, scale = max|x| / 127. The caller owns the memory:
/// `quantized_rows_bytes(m, cols)`, 64-byte aligned.
///
/// Tokens are cut into tiles of 8 (the last tile holds the rest). A tile is contiguous; each unit
/// of it is one record, n = tokens of the tile: int8 code[n][32]; f32 scale[n]; f32 sum[n]
/// (scale·Σcode); i32 minus_sum[n] (−Σcode); i32 minus_sum_low[n] and minus_sum_high[n] (−Σ over
/// columns 0..15 and 16..31). So every operand of a tile is at a constant distance from one
/// pointer, and can be broadcast from memory.
struct QuantizedRows {
  uint8_t* data = nullptr;
  int64_t m = 0;     ///< tokens
  int64_t cols = 0;  ///< a multiple of 32

  static constexpr int64_t kTile = 8;
  static constexpr int64_t kTokenBytes = 32 + 5 * 4;  ///< of one token in a record

  int64_t units() const { return cols / kUnitColumns; }
  int64_t tile_tokens(int64_t tile) const {
    const int64_t rest = m - tile * kTile;
    return rest < kTile ? rest : kTile;
  }
  /// The record of (tile, unit); records of a tile are tile_tokens × kTokenBytes apart.
  uint8_t* record(int64_t tile, int64_t unit) const {
    return data + tile * kTile * kTokenBytes * units() + unit * tile_tokens(tile) * kTokenBytes;
  }
};

inline int64_t quantized_rows_bytes(int64_t m, int64_t cols) {
  return (m * (cols / kUnitColumns) * QuantizedRows::kTokenBytes + 63) / 64 * 64;
}

/// Quantizes units [unit_begin, unit_end) of tokens [token_begin, token_end) of x [m, cols] f32,
/// rows ldx floats apart. Workers may share the work in any split: each (token, unit) is written by
/// itself. Codes round to nearest even; a unit of zeros gets scale 0. A NaN or infinite input gives
/// a NaN scale, so that it shows in the result.
void quantize_rows(const float* x, int64_t ldx, const QuantizedRows& out, int64_t token_begin,
                   int64_t token_end, int64_t unit_begin, int64_t unit_end);

/// All units of the tokens.
inline void quantize_rows(const float* x, int64_t ldx, const QuantizedRows& out,
                          int64_t token_begin, int64_t token_end) {
  quantize_rows(x, ldx, out, token_begin, token_end, 0, out.units());
}

}  // namespace callie::kernels
