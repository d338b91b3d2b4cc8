#pragma once

#include <cstdint>

namespace callie::kernels {

// Sums run in 32 partial sums (element i goes to i modulo 32) that are halved in a fixed order: the
// bits depend on the values only, not on the instruction set, alignment or neighbours. `out` may be
// `x`.

/// out[i] = x[i] / sqrt(mean(x^2) + eps) * (weight[i] + weight_offset). Gemma stores weight - 1:
/// offset 1.
///   x, out [n] f32    weight [n]? f32, all ones when null
void rms_norm(const float* x, const float* weight, int64_t n, float eps, float* out,
              float weight_offset = 0.0f);

/// residual += delta, then out = rms_norm(residual): one pass less over memory.
void add_rms_norm(float* residual, const float* delta, const float* weight, int64_t n, float eps,
                  float* out, float weight_offset = 0.0f);

/// rms_norm of each of n_heads vectors of head_dim in place, with one weight [head_dim] (QK norm).
void rms_norm_heads(float* x, const float* weight, int64_t n_heads, int64_t head_dim, float eps,
                    float weight_offset = 0.0f);

/// out[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i]; the variance is the
/// population's.
///   weight, bias [n]? f32
void layer_norm(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                float* out);

}  // namespace callie::kernels
