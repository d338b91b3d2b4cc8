#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_bidirectional.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"
#include "kernels/panel_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

/// Queries that share a pass over the keys.
constexpr int64_t kQueries = 32;

/// Softmax over all keys of a query happens in chunks, as in the cached attention; chunks are
/// merged ascending.
void bidirectional(const BidirectionalHead& head, float* scratch) {
  const int64_t dim = head.head_dim, padded = (dim + 15) / 16 * 16, panels = (head.n + 15) / 16;
  float* k = scratch;                           // [panels, dim, 16]
  float* v = k + panels * 16 * dim;             // [padded / 16, panels * 16, 16]
  float* q = v + panels * 16 * padded;          // [kQueries, row stride]
  float* scores = q + kQueries * kRowStride;    // [kQueries, row stride]
  float* sum = scores + kQueries * kRowStride;  // [kQueries, padded] of the chunk
  float* total = sum + kQueries * padded;       // [kQueries, padded]
  for (int64_t j = 0; j < panels * 16; ++j) {
    float* column = k + j / 16 * dim * 16 + j % 16;
    for (int64_t d = 0; d < dim; ++d)
      column[16 * d] = j < head.n ? head.k[j * head.k_stride + d] : 0.0f;
    for (int64_t d = 0; d < padded; ++d) {
      v[(d / 16 * panels * 16 + j) * 16 + d % 16] =
          j < head.n && d < dim ? head.v[j * head.v_stride + d] : 0.0f;
    }
  }
  const float infinity = std::numeric_limits<float>::infinity();
  for (int64_t first = 0; first < head.n; first += kQueries) {
    const int64_t m = std::min(kQueries, head.n - first);
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t d = 0; d < dim; ++d) {
        q[r * kRowStride + d] = head.q[(first + r) * head.q_stride + d] * 0x1.715476p0f;
      }
    }
    float largest[kQueries], weight[kQueries];
    std::fill_n(largest, kQueries, -infinity);
    std::fill_n(weight, kQueries, 0.0f);
    std::fill_n(total, kQueries * padded, 0.0f);
    for (int64_t start = 0; start < head.n; start += kAttentionChunk) {
      const int64_t keys = std::min<int64_t>(kAttentionChunk, head.n - start),
                    wide = (keys + 15) / 16 * 16;
      panel_product<WidenF32>(m, q, k + start * dim, dim * 16, wide / 16, dim, scores, kRowStride,
                              false);
      float chunk_largest[kQueries], chunk_weight[kQueries];
      for (int64_t r = 0; r < m; ++r) {
        float* s = scores + r * kRowStride;
        std::fill(s + keys, s + wide, -infinity);
        V16 most = load16(s);
        for (int64_t j = 16; j < wide; j += 16) most = max(most, load16(s + j));
        chunk_largest[r] = reduce_max(most);
        const V16 base = set16(chunk_largest[r]);
        V16 weights = zero16();
        for (int64_t j = 0; j < wide; j += 16) {
          const V16 p = exp2_nonpositive(sub(load16(s + j), base));
          weights = add(weights, p);
          store16(p, s + j);
        }
        chunk_weight[r] = reduce_add(weights);
      }
      panel_product<WidenF32>(m, scores, v + start * 16, panels * 256, padded / 16, keys, sum,
                              padded, false);
      for (int64_t r = 0; r < m; ++r) {
        const float both = std::max(largest[r], chunk_largest[r]);
        const V16 keep = exp2_nonpositive(set16(largest[r] - both));
        const V16 take = exp2_nonpositive(set16(chunk_largest[r] - both));
        for (int64_t d = 0; d < padded; d += 16) {
          float* to = total + r * padded + d;
          store16(fma(load16(sum + r * padded + d), take, mul(load16(to), keep)), to);
        }
        weight[r] = reduce_max(fma(set16(chunk_weight[r]), take, mul(set16(weight[r]), keep)));
        largest[r] = both;
      }
    }
    for (int64_t r = 0; r < m; ++r) {
      const float factor = 1.0f / weight[r];
      float* out = head.out + (first + r) * head.out_stride;
      for (int64_t d = 0; d < dim; ++d) out[d] = total[r * padded + d] * factor;
    }
  }
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace callie::kernels {

HWY_EXPORT(bidirectional);

int64_t attention_bidirectional_scratch_floats(int64_t max_tokens, int head_dim) {
  const int64_t tokens = (max_tokens + 15) / 16 * 16, padded = (int64_t{head_dim} + 15) / 16 * 16;
  return tokens * (head_dim + padded) + 32 * (2 * (kAttentionChunk + 16) + 2 * padded);
}

void attention_bidirectional(const BidirectionalHead& head, float* scratch) {
  HWY_DYNAMIC_DISPATCH(bidirectional)(head, scratch);
}

}  // namespace callie::kernels
#endif  // HWY_ONCE
