#pragma once

#include <cstdint>

#include "kernels/packed_view.h"
#include "kernels/quantize_rows.h"

namespace callie::kernels {

/// y[token·ldy + row] = Σ_k W[row, k]·x[token, k] for the rows of panels [panel_begin, panel_end),
/// all m = x.m tokens, with integer dot products over units of 32 columns. `w` is a packed integer
/// family and x.cols == w.cols.
///
/// The bits of an output depend on its row of W and its row of x only, never on m, on the other
/// tokens, on the panel range or the worker: integer sums of a unit are exact, and units are added
/// in ascending order into one f32 per output by fused multiply-adds. Rows past w.rows are not
/// written. No allocation.
void matmul(const PackedView& w, const QuantizedRows& x, int64_t panel_begin, int64_t panel_end,
            float* y, int64_t ldy);

/// The same product with f32 activations x [m, cols], rows ldx floats apart, and weights decoded
/// exactly to f32: the oracle path for integer families and the normal one for float families. One
/// f32 per output, columns in ascending order, fused multiply-adds; the same independence of m,
/// neighbours, panel ranges and workers.
void matmul_f32(const PackedView& w, const float* x, int64_t ldx, int64_t m, int64_t panel_begin,
                int64_t panel_end, float* y, int64_t ldy);

}  // namespace callie::kernels
