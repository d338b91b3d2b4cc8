#include "kernels/kv_page.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/half.h"

namespace callie::kernels {
namespace {

constexpr int64_t align64(int64_t bytes) { return (bytes + 63) / 64 * 64; }
constexpr int blocks_of(int n, int size) { return (n + size - 1) / size; }

int64_t k_data_bytes(KvFormat format, int tokens, int dim) {
  switch (format) {
    case KvFormat::kF32:
      return int64_t{4} * tokens * dim;
    case KvFormat::kF16:
      return int64_t{2} * tokens * dim;
    case KvFormat::kQ8:
      return int64_t{1} * tokens * dim;
    case KvFormat::kQ4:
      return int64_t{1} * tokens * blocks_of(dim, 2);
  }
  return 0;
}

int64_t v_data_bytes(KvFormat format, int tokens, int dim) {
  const int64_t blocks = blocks_of(dim, 16);
  switch (format) {
    case KvFormat::kF32:
      return blocks * 64 * tokens;
    case KvFormat::kF16:
      return blocks * 32 * tokens;
    case KvFormat::kQ8:
      return blocks * 16 * tokens;
    case KvFormat::kQ4:
      return int64_t{blocks_of(dim, 32)} * 16 * tokens;
  }
  return 0;
}

// kQ8: f16 scale of each token; kQ4: f16 scales, then f16 minima.
int64_t scale_bytes(KvFormat format, int tokens) {
  if (format == KvFormat::kQ8) return int64_t{2} * tokens;
  if (format == KvFormat::kQ4) return int64_t{4} * tokens;
  return 0;
}

/// Rounds n floats to -127..127 times a half-precision scale; returns the scale.
uint16_t quantize_q8(const float* x, int n, int8_t* q) {
  float largest = 0.0f;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  const uint16_t scale = f32_to_f16(std::min(largest / 127.0f, 65504.0f));
  const float width = f16_to_f32(scale);
  const float inverse = width > 0.0f ? 1.0f / width : 0.0f;
  for (int i = 0; i < n; ++i) {
    q[i] = static_cast<int8_t>(std::nearbyintf(std::clamp(x[i] * inverse, -127.0f, 127.0f)));
  }
  return scale;
}

struct ScaleMin {
  uint16_t scale, min;
};

/// Rounds n floats to min + scale * (0..15).
ScaleMin quantize_q4(const float* x, int n, uint8_t* q) {
  float low = x[0], high = x[0];
  for (int i = 1; i < n; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const ScaleMin result{f32_to_f16(std::min((high - low) / 15.0f, 65504.0f)),
                        f32_to_f16(std::clamp(low, -65504.0f, 65504.0f))};
  const float width = f16_to_f32(result.scale);
  const float inverse = width > 0.0f ? 1.0f / width : 0.0f;
  const float start = f16_to_f32(result.min);
  for (int i = 0; i < n; ++i) {
    q[i] = static_cast<uint8_t>(std::nearbyintf(std::clamp((x[i] - start) * inverse, 0.0f, 15.0f)));
  }
  return result;
}

template <typename T>
T* at(uint8_t* p, int64_t offset) {
  return reinterpret_cast<T*>(p + offset);
}
template <typename T>
const T* at(const uint8_t* p, int64_t offset) {
  return reinterpret_cast<const T*>(p + offset);
}

// Index of (token, dim) in K's panels and in V's, in elements.
int64_t k_index(int slot, int d, int dim) {
  return (int64_t{slot / 16} * dim + d) * 16 + slot % 16;
}
int64_t v_index(int slot, int d, int tokens) {
  return (int64_t{d / 16} * tokens + slot) * 16 + d % 16;
}

void write_k(const KvLayout& layout, uint8_t* head, int slot, const float* x) {
  const int dim = layout.k_head_dim;
  uint8_t* scales = head + layout.k_scales_offset;
  switch (layout.k) {
    case KvFormat::kF32: {
      float* to = at<float>(head, 0) + k_index(slot, 0, dim);
      for (int d = 0; d < dim; ++d) to[16 * d] = x[d];
      return;
    }
    case KvFormat::kF16: {
      uint16_t* to = at<uint16_t>(head, 0) + k_index(slot, 0, dim);
      for (int d = 0; d < dim; ++d) to[16 * d] = f32_to_f16(x[d]);
      return;
    }
    case KvFormat::kQ8: {
      int8_t q[kMaxHeadDim];
      at<uint16_t>(scales, 0)[slot] = quantize_q8(x, dim, q);
      int8_t* to = at<int8_t>(head, 0) + k_index(slot, 0, dim);
      for (int d = 0; d < dim; ++d) to[16 * d] = q[d];
      return;
    }
    case KvFormat::kQ4: {
      float rotated[kMaxHeadDim];
      uint8_t q[kMaxHeadDim + 1];
      std::copy_n(x, dim, rotated);
      hadamard_rotate(rotated, dim);
      const ScaleMin code = quantize_q4(rotated, dim, q);
      q[dim] = 0;
      at<uint16_t>(scales, 0)[slot] = code.scale;
      at<uint16_t>(scales, 0)[layout.page_tokens + slot] = code.min;
      const int pairs = blocks_of(dim, 2);
      uint8_t* to = head + k_index(slot, 0, pairs);
      for (int d = 0; d < pairs; ++d)
        to[16 * d] = static_cast<uint8_t>(q[2 * d] | q[2 * d + 1] << 4);
      return;
    }
  }
}

void write_v(const KvLayout& layout, uint8_t* head, int slot, const float* x) {
  const int dim = layout.v_head_dim, tokens = layout.page_tokens;
  uint8_t* data = head + layout.v_offset;
  uint8_t* scales = head + layout.v_scales_offset;
  const int padded = blocks_of(dim, 16) * 16;
  switch (layout.v) {
    case KvFormat::kF32:
      for (int d = 0; d < padded; ++d)
        at<float>(data, 0)[v_index(slot, d, tokens)] = d < dim ? x[d] : 0.0f;
      return;
    case KvFormat::kF16:
      for (int d = 0; d < padded; ++d) {
        at<uint16_t>(data, 0)[v_index(slot, d, tokens)] = d < dim ? f32_to_f16(x[d]) : uint16_t{0};
      }
      return;
    case KvFormat::kQ8: {
      int8_t q[kMaxHeadDim] = {};
      at<uint16_t>(scales, 0)[slot] = quantize_q8(x, dim, q);
      for (int d = 0; d < padded; ++d) at<int8_t>(data, 0)[v_index(slot, d, tokens)] = q[d];
      return;
    }
    case KvFormat::kQ4: {
      float rotated[kMaxHeadDim];
      uint8_t q[kMaxHeadDim] = {};
      std::copy_n(x, dim, rotated);
      hadamard_rotate(rotated, dim);
      const ScaleMin code = quantize_q4(rotated, dim, q);
      at<uint16_t>(scales, 0)[slot] = code.scale;
      at<uint16_t>(scales, 0)[tokens + slot] = code.min;
      for (int block = 0; block < blocks_of(dim, 32); ++block) {
        uint8_t* to = data + (int64_t{block} * tokens + slot) * 16;
        const uint8_t* from = q + 32 * block;
        for (int d = 0; d < 16; ++d) to[d] = static_cast<uint8_t>(from[d] | from[d + 16] << 4);
      }
      return;
    }
  }
}

void read_k(const KvLayout& layout, const uint8_t* head, int slot, float* x) {
  const int dim = layout.k_head_dim;
  const uint16_t* scales = at<uint16_t>(head, layout.k_scales_offset);
  for (int d = 0; d < dim; ++d) {
    switch (layout.k) {
      case KvFormat::kF32:
        x[d] = at<float>(head, 0)[k_index(slot, d, dim)];
        break;
      case KvFormat::kF16:
        x[d] = f16_to_f32(at<uint16_t>(head, 0)[k_index(slot, d, dim)]);
        break;
      case KvFormat::kQ8:
        x[d] = f16_to_f32(scales[slot]) * at<int8_t>(head, 0)[k_index(slot, d, dim)];
        break;
      case KvFormat::kQ4: {
        const uint8_t both = head[k_index(slot, d / 2, blocks_of(dim, 2))];
        const int q = d % 2 == 0 ? both & 15 : both >> 4;
        x[d] = f16_to_f32(scales[slot]) * q + f16_to_f32(scales[layout.page_tokens + slot]);
        break;
      }
    }
  }
}

void read_v(const KvLayout& layout, const uint8_t* head, int slot, float* x) {
  const int tokens = layout.page_tokens;
  const uint8_t* data = head + layout.v_offset;
  const uint16_t* scales = at<uint16_t>(head, layout.v_scales_offset);
  for (int d = 0; d < layout.v_head_dim; ++d) {
    switch (layout.v) {
      case KvFormat::kF32:
        x[d] = at<float>(data, 0)[v_index(slot, d, tokens)];
        break;
      case KvFormat::kF16:
        x[d] = f16_to_f32(at<uint16_t>(data, 0)[v_index(slot, d, tokens)]);
        break;
      case KvFormat::kQ8:
        x[d] = f16_to_f32(scales[slot]) * at<int8_t>(data, 0)[v_index(slot, d, tokens)];
        break;
      case KvFormat::kQ4: {
        const uint8_t both = data[(int64_t{d / 32} * tokens + slot) * 16 + d % 16];
        const int q = d % 32 < 16 ? both & 15 : both >> 4;
        x[d] = f16_to_f32(scales[slot]) * q + f16_to_f32(scales[tokens + slot]);
        break;
      }
    }
  }
}

/// Copies `count` runs of `bytes`, `stride` apart.
void copy_runs(const uint8_t* from, uint8_t* to, int64_t count, int64_t bytes, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * stride, from + i * stride, bytes);
}

void copy_scales(KvFormat format, int tokens, const uint8_t* from, int from_slot, uint8_t* to,
                 int to_slot) {
  const int values = format == KvFormat::kQ4 ? 2 : format == KvFormat::kQ8 ? 1 : 0;
  for (int i = 0; i < values; ++i) {
    at<uint16_t>(to, 0)[i * tokens + to_slot] = at<uint16_t>(from, 0)[i * tokens + from_slot];
  }
}

}  // namespace

StatusOr<KvLayout> make_kv_layout(KvFormat k, KvFormat v, int page_tokens, int n_kv_heads,
                                  int k_head_dim, int v_head_dim) {
  if (page_tokens < 16 || page_tokens > kAttentionChunk || (page_tokens & (page_tokens - 1)) != 0) {
    return invalid_argument("KV page of {} tokens: must be 16, 32, 64, 128 or 256", page_tokens);
  }
  if (n_kv_heads < 1) return invalid_argument("KV page with {} heads", n_kv_heads);
  for (const int dim : {k_head_dim, v_head_dim}) {
    if (dim < 1 || dim > kMaxHeadDim) {
      return invalid_argument("head dimension {}: must be 1 to {}", dim, kMaxHeadDim);
    }
  }
  KvLayout layout{k, v, page_tokens, n_kv_heads, k_head_dim, v_head_dim};
  layout.k_scales_offset = align64(k_data_bytes(k, page_tokens, k_head_dim));
  layout.v_offset = layout.k_scales_offset + align64(scale_bytes(k, page_tokens));
  layout.v_scales_offset = layout.v_offset + align64(v_data_bytes(v, page_tokens, v_head_dim));
  layout.head_bytes = layout.v_scales_offset + align64(scale_bytes(v, page_tokens));
  layout.page_bytes = n_kv_heads * layout.head_bytes;
  return layout;
}

void kv_write(const KvLayout& layout, uint8_t* page, int slot, const float* k, const float* v) {
  for (int h = 0; h < layout.n_kv_heads; ++h) {
    uint8_t* head = page + h * layout.head_bytes;
    write_k(layout, head, slot, k + h * layout.k_head_dim);
    write_v(layout, head, slot, v + h * layout.v_head_dim);
  }
}

void kv_read(const KvLayout& layout, const uint8_t* page, int slot, float* k, float* v) {
  for (int h = 0; h < layout.n_kv_heads; ++h) {
    const uint8_t* head = page + h * layout.head_bytes;
    if (k != nullptr) read_k(layout, head, slot, k + h * layout.k_head_dim);
    if (v != nullptr) read_v(layout, head, slot, v + h * layout.v_head_dim);
  }
}

void kv_copy_slot(const KvLayout& layout, const uint8_t* from, int from_slot, uint8_t* to,
                  int to_slot) {
  const int tokens = layout.page_tokens;
  if (from == to && from_slot == to_slot) return;
  for (int h = 0; h < layout.n_kv_heads; ++h) {
    const uint8_t* a = from + h * layout.head_bytes;
    uint8_t* b = to + h * layout.head_bytes;
    const int64_t k_rows =
        layout.k == KvFormat::kQ4 ? blocks_of(layout.k_head_dim, 2) : layout.k_head_dim;
    const int64_t k_bytes = layout.k == KvFormat::kF32 ? 4 : layout.k == KvFormat::kF16 ? 2 : 1;
    copy_runs(a + k_bytes * k_index(from_slot, 0, static_cast<int>(k_rows)),
              b + k_bytes * k_index(to_slot, 0, static_cast<int>(k_rows)), k_rows, k_bytes,
              16 * k_bytes);
    const int64_t v_block = v_data_bytes(layout.v, 1, 16);
    const int64_t v_blocks = blocks_of(layout.v_head_dim, layout.v == KvFormat::kQ4 ? 32 : 16);
    copy_runs(a + layout.v_offset + v_block * from_slot, b + layout.v_offset + v_block * to_slot,
              v_blocks, v_block, v_block * tokens);
    copy_scales(layout.k, tokens, a + layout.k_scales_offset, from_slot, b + layout.k_scales_offset,
                to_slot);
    copy_scales(layout.v, tokens, a + layout.v_scales_offset, from_slot, b + layout.v_scales_offset,
                to_slot);
  }
}

void hadamard_rotate(float* x, int n) {
  const int block = n & -n;
  const float norm = 1.0f / std::sqrt(static_cast<float>(block));
  for (int start = 0; start < n; start += block) {
    float* y = x + start;
    for (int half = 1; half < block; half *= 2) {
      for (int i = 0; i < block; i += 2 * half) {
        for (int j = i; j < i + half; ++j) {
          const float a = y[j], b = y[j + half];
          y[j] = a + b;
          y[j + half] = a - b;
        }
      }
    }
    for (int i = 0; i < block; ++i) y[i] *= norm;
  }
}

}  // namespace callie::kernels
