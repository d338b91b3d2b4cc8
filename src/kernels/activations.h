#pragma once

#include <cstdint>

namespace callie::kernels {

// Elementwise functions of a row; the bits of an element depend on its inputs only. `out` may be
// one of the inputs. Errors below are absolute, relative to max(1, |x|): 3e-7.

/// The gate of a feed-forward block.
enum class Activation : uint8_t { kSilu, kGeluTanh, kGeluErf, kRelu };

/// out[i] = activation(gate[i]) * up[i]
void gated(Activation activation, const float* gate, const float* up, int64_t n, float* out);

/// out[i] = activation(x[i])
void activate(Activation activation, const float* x, int64_t n, float* out);

/// out[i] = 1 / (1 + e^-x[i])
void sigmoid(const float* x, int64_t n, float* out);

/// out[i] = e^x[i]; 0 below -87.3, infinity above 88.72
void exp_row(const float* x, int64_t n, float* out);

/// out[i] = ln x[i] of positive normal numbers
void log_row(const float* x, int64_t n, float* out);

/// x[i] = cap * tanh(x[i] / cap)
void soft_cap(float* x, int64_t n, float cap);

}  // namespace callie::kernels
