#pragma once

#include <cstdint>

#include "core/thread_pool.h"
#include "nn/taps.h"

namespace callie::nn {

/// Adds scale * Z x to y, this worker's share of the output rows. Z [rows, cols] is ±1, drawn by counter from
/// (seed, layer, matrix, row, column), so that the same Z comes back in every pass and on any number of threads.
///   x [m, cols], y [m, rows]
void perturb_output(const Worker& worker, const Perturbation& perturbation, int layer, int matrix, const float* x,
                    int64_t m, int64_t cols, int64_t rows, float* y);

}  // namespace callie::nn
