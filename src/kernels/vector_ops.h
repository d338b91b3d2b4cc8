#pragma once

#include <cstdint>

namespace callie::kernels {

// Rows of floats. `out` may be one of the inputs. Reductions run in a fixed order (32 partial sums,
// see norm.h).

/// y[i] += x[i]
void add_to(const float* x, int64_t n, float* y);

/// y[i] += a * x[i], rounded once
void add_scaled(float a, const float* x, int64_t n, float* y);

/// x[i] *= a
void scale(float* x, int64_t n, float a);

/// out[i] = x[i] * y[i]
void multiply(const float* x, const float* y, int64_t n, float* out);

/// sum of x[i] * y[i]
float dot(const float* x, const float* y, int64_t n);

/// sum of x[i]^2
float sum_of_squares(const float* x, int64_t n);

/// Index of the largest element, the lowest of equals; NaN is never the largest. n >= 1.
int64_t argmax(const float* x, int64_t n);

/// ln of the sum of e^x[i]; n >= 1.
float log_sum_exp(const float* x, int64_t n);

/// x becomes e^(x[i] - log_sum_exp(x)).
void softmax(float* x, int64_t n);

/// Half precision, ties to even; and back.
void to_f16(const float* x, int64_t n, uint16_t* out);
void from_f16(const uint16_t* x, int64_t n, float* out);

}  // namespace callie::kernels
