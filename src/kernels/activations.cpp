#include "kernels/activations.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activations.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"
#include "kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

struct Silu {
  HWY_INLINE V16 operator()(const V16& x) const { return mul(x, sigmoid16(x)); }
};
/// 0.5 x (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  HWY_INLINE V16 operator()(const V16& x) const {
    const V16 cubic = fma(mul(mul(x, x), x), set16(0.044715f), x);
    return mul(x, sigmoid16(mul(cubic, set16(1.5957691216057308f))));
  }
};
struct GeluErf {
  HWY_INLINE V16 operator()(const V16& x) const {
    const V16 half = mul(x, set16(0.5f));
    return fma(half, erf16(mul(x, set16(0.70710678118654752f))), half);
  }
};
struct Relu {
  HWY_INLINE V16 operator()(const V16& x) const { return max(x, zero16()); }
};
struct Sigmoid {
  HWY_INLINE V16 operator()(const V16& x) const { return sigmoid16(x); }
};
struct Exp {
  HWY_INLINE V16 operator()(const V16& x) const { return exp16(x); }
};
struct Log {
  HWY_INLINE V16 operator()(const V16& x) const { return log16(x); }
};
struct SoftCap {
  float cap, inverse;
  HWY_INLINE V16 operator()(const V16& x) const {
    return mul(tanh16(mul(x, set16(inverse))), set16(cap));
  }
};

template <class F>
HWY_INLINE void map_row(const F& f, const float* x, int64_t n, float* out) {
  for_each_16(n, [&](int64_t i, int64_t count)
                     HWY_ATTR { store_part(f(load_part(x + i, count, 1.0f)), out + i, count); });
}
template <class F>
HWY_INLINE void gate_row(const F& f, const float* gate, const float* up, int64_t n, float* out) {
  for_each_16(n, [&](int64_t i, int64_t count) HWY_ATTR {
    store_part(mul(f(load_part(gate + i, count)), load_part(up + i, count)), out + i, count);
  });
}

void gated_row(Activation activation, const float* gate, const float* up, int64_t n, float* out) {
  switch (activation) {
    case Activation::kSilu:
      return gate_row(Silu(), gate, up, n, out);
    case Activation::kGeluTanh:
      return gate_row(GeluTanh(), gate, up, n, out);
    case Activation::kGeluErf:
      return gate_row(GeluErf(), gate, up, n, out);
    case Activation::kRelu:
      return gate_row(Relu(), gate, up, n, out);
  }
}
void activate_row(Activation activation, const float* x, int64_t n, float* out) {
  switch (activation) {
    case Activation::kSilu:
      return map_row(Silu(), x, n, out);
    case Activation::kGeluTanh:
      return map_row(GeluTanh(), x, n, out);
    case Activation::kGeluErf:
      return map_row(GeluErf(), x, n, out);
    case Activation::kRelu:
      return map_row(Relu(), x, n, out);
  }
}
void sigmoid_of_row(const float* x, int64_t n, float* out) { map_row(Sigmoid(), x, n, out); }
void exp_of_row(const float* x, int64_t n, float* out) { map_row(Exp(), x, n, out); }
void log_of_row(const float* x, int64_t n, float* out) { map_row(Log(), x, n, out); }
void soft_cap_row(float* x, int64_t n, float cap) { map_row(SoftCap{cap, 1.0f / cap}, x, n, x); }

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {

HWY_EXPORT(gated_row);
HWY_EXPORT(activate_row);
HWY_EXPORT(sigmoid_of_row);
HWY_EXPORT(exp_of_row);
HWY_EXPORT(log_of_row);
HWY_EXPORT(soft_cap_row);

void gated(Activation activation, const float* gate, const float* up, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(gated_row)(activation, gate, up, n, out);
}
void activate(Activation activation, const float* x, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(activate_row)(activation, x, n, out);
}
void sigmoid(const float* x, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(sigmoid_of_row)(x, n, out);
}
void exp_row(const float* x, int64_t n, float* out) { HWY_DYNAMIC_DISPATCH(exp_of_row)(x, n, out); }
void log_row(const float* x, int64_t n, float* out) { HWY_DYNAMIC_DISPATCH(log_of_row)(x, n, out); }
void soft_cap(float* x, int64_t n, float cap) { HWY_DYNAMIC_DISPATCH(soft_cap_row)(x, n, cap); }

}  // namespace callie::kernels
#endif  // HWY_ONCE
