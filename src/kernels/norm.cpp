#include "kernels/norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

/// out = x * scale * (weight + offset).
HWY_INLINE void scale_row(const float* x, const float* weight, int64_t n, float scale, float offset,
                          float* out) {
  const V16 s = set16(scale);
  if (weight == nullptr) {
    for_each_16(n, [&](int64_t i, int64_t count)
                       HWY_ATTR { store_part(mul(load_part(x + i, count), s), out + i, count); });
  } else if (offset == 0.0f) {
    for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
      store_part(mul(mul(load_part(x + i, count), s), load_part(weight + i, count)), out + i,
                 count);
    });
  } else {
    const V16 o = set16(offset);
    for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
      store_part(mul(mul(load_part(x + i, count), s), add(load_part(weight + i, count), o)),
                 out + i, count);
    });
  }
}

HWY_INLINE float inverse_rms(float sum_of_squares, int64_t n, float eps) {
  return 1.0f / std::sqrt(sum_of_squares / static_cast<float>(n) + eps);
}

void rms(const float* x, const float* weight, int64_t n, float eps, float* out, float offset) {
  const float sum = sum_row(n, [&](int64_t i, int64_t count, const V16& acc) HWY_ATTR {
    const V16 v = load_part(x + i, count);
    return fma(v, v, acc);
  });
  scale_row(x, weight, n, inverse_rms(sum, n, eps), offset, out);
}

void add_rms(float* residual, const float* delta, const float* weight, int64_t n, float eps,
             float* out, float offset) {
  const float sum = sum_row(n, [&](int64_t i, int64_t count, const V16& acc) HWY_ATTR {
    const V16 v = add(load_part(residual + i, count), load_part(delta + i, count));
    store_part(v, residual + i, count);
    return fma(v, v, acc);
  });
  scale_row(residual, weight, n, inverse_rms(sum, n, eps), offset, out);
}

void rms_heads(float* x, const float* weight, int64_t n_heads, int64_t head_dim, float eps,
               float offset) {
  for (int64_t h = 0; h < n_heads; ++h)
    rms(x + h * head_dim, weight, head_dim, eps, x + h * head_dim, offset);
}

void layer(const float* x, const float* weight, const float* bias, int64_t n, float eps,
           float* out) {
  const float mean = sum_row(n, [&](int64_t i, int64_t count, const V16& acc)
                                    HWY_ATTR { return add(acc, load_part(x + i, count)); }) /
                     static_cast<float>(n);
  const V16 centre = set16(mean);
  const float squares = sum_row(n, [&](int64_t i, int64_t count, const V16& acc) HWY_ATTR {
    const V16 v = sub(load_part(x + i, count, mean), centre);
    return fma(v, v, acc);
  });
  const V16 scale = set16(inverse_rms(squares, n, eps));
  for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
    V16 v = mul(sub(load_part(x + i, count), centre), scale);
    if (weight != nullptr) v = mul(v, load_part(weight + i, count));
    if (bias != nullptr) v = add(v, load_part(bias + i, count));
    store_part(v, out + i, count);
  });
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {

HWY_EXPORT(rms);
HWY_EXPORT(add_rms);
HWY_EXPORT(rms_heads);
HWY_EXPORT(layer);

void rms_norm(const float* x, const float* weight, int64_t n, float eps, float* out,
              float weight_offset) {
  HWY_DYNAMIC_DISPATCH(rms)(x, weight, n, eps, out, weight_offset);
}
void add_rms_norm(float* residual, const float* delta, const float* weight, int64_t n, float eps,
                  float* out, float weight_offset) {
  HWY_DYNAMIC_DISPATCH(add_rms)(residual, delta, weight, n, eps, out, weight_offset);
}
void rms_norm_heads(float* x, const float* weight, int64_t n_heads, int64_t head_dim, float eps,
                    float weight_offset) {
  HWY_DYNAMIC_DISPATCH(rms_heads)(x, weight, n_heads, head_dim, eps, weight_offset);
}
void layer_norm(const float* x, const float* weight, const float* bias, int64_t n, float eps,
                float* out) {
  HWY_DYNAMIC_DISPATCH(layer)(x, weight, bias, n, eps, out);
}

}  // namespace callie::kernels
#endif  // HWY_ONCE
