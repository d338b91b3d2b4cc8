#pragma once

#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/quantize_rows.h"
#include "tensor/packed_matrix.h"

namespace callie::nn {

/// How matrix products are computed: with activations quantized for integer dots, or in f32 over the exactly decoded
/// weights (the oracle).
enum class Precision { kDefault, kF32 };

/// y = W x + b, where W is one or more matrices with the same input stacked by rows. Several matrices in one Linear
/// cost one meeting of the threads.
struct Linear {
  std::vector<tensor::PackedMatrix> parts;
  std::vector<float> bias;  ///< [rows()] or empty
  /// Activations are quantized twice, the second time what the first left over: 15 bits instead of 8, for twice the dots
  /// and the same bytes. For small models, whose logits 8 bits would move too far: query, key, value and head, and gate
  /// and up where the down projection has 2-bit weights.
  bool fine = false;

  bool empty() const { return parts.empty(); }
  int64_t rows() const;
  int64_t cols() const { return parts.empty() ? 0 : parts.front().cols(); }
  int64_t bytes() const;
  /// Some part wants f32 activations in this precision.
  bool reads_f32(Precision precision) const;
  /// Some part wants quantized activations in this precision.
  bool reads_quantized(Precision precision) const;
};

/// The input of linears: f32 rows, and the same rows quantized when any reader wants that.
struct LinearInput {
  const float* rows = nullptr;  ///< [m, cols]
  int64_t stride = 0;           ///< floats between rows
  const kernels::QuantizedRows* quantized = nullptr;  ///< m rows; of a fine Linear 2 m: each row and its remainder
  float* scratch = nullptr;  ///< [fine_scratch_floats(m)] of this worker, for a fine Linear
};

/// Floats of scratch that a worker needs for a fine Linear over up to m rows.
int64_t fine_scratch_floats(int64_t m);

/// Quantizes rows [begin, end) of x [m, cols], rows `stride` floats apart, into rows 2 i and 2 i + 1 of `out`: the row,
/// and what its quantization left over. `remainder` [2 m, cols] is scratch.
void quantize_fine(const float* x, int64_t stride, const kernels::QuantizedRows& out, int64_t begin, int64_t end,
                   float* remainder);

/// Rows [begin, end) of x as `reader` reads them: `data` then holds QuantizedRows of m rows, of a fine reader of 2 m.
/// `remainder` as in quantize_fine().
void quantize_input(const Linear& reader, const float* x, int64_t m, uint8_t* data, int64_t begin, int64_t end,
                    float* remainder);

/// This worker's share of y[m, rows()] = W x + b (`y_stride` floats between rows). The split is by panels of rows,
/// never inside a sum. Reader of y: after worker.sync().
void linear_forward(const Worker& worker, const Linear& linear, const LinearInput& x, int64_t m, Precision precision,
                    float* y, int64_t y_stride);

}  // namespace callie::nn
