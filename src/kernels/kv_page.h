#pragma once

#include <cstdint>

#include "core/status.h"

namespace callie::kernels {

/// How keys or values are stored. kF32 serves the f32 oracle. kQ8: one scale per token and head.
/// kQ4: one scale and one minimum per token and head, after a Hadamard rotation of the head's
/// vector (which spreads outliers; attention rotates queries and outputs to match). What is stored
/// for a token depends on that token only.
enum class KvFormat : uint8_t { kF32, kF16, kQ8, kQ4 };

/// Keys a chunk of attention spans; a page's tokens divide it. Part of the numeric result: chunks
/// are summed separately and merged in ascending order.
constexpr int kAttentionChunk = 256;
/// The largest head dimension.
constexpr int kMaxHeadDim = 256;

/// One page: page_tokens tokens of one layer, for every KV head [K | K scales | V | V scales].
/// K lies as [token / 16][dim][16 tokens], V as [dim / 16][token][16 dims]: both are panels of 16
/// columns whose rows follow each other, so that scores and outputs accumulate 16 at a time without
/// horizontal sums. In kQ4, a byte holds dims 2d (low) and 2d + 1 of a token in K, and dims d and d
/// + 16 of 32 in V.
struct KvLayout {
  KvFormat k = KvFormat::kF16;
  KvFormat v = KvFormat::kF16;
  int page_tokens = 0;
  int n_kv_heads = 0;
  int k_head_dim = 0;
  int v_head_dim = 0;
  // Byte offsets inside one head's part of a page; multiples of 64.
  int64_t k_scales_offset = 0;
  int64_t v_offset = 0;
  int64_t v_scales_offset = 0;
  int64_t head_bytes = 0;
  int64_t page_bytes = 0;  ///< n_kv_heads * head_bytes; pages start at multiples of 64
};

/// Fills in the offsets. Errors: kInvalidArgument when page_tokens is not 16, 32, 64, 128 or 256,
/// or a dimension is outside 1..kMaxHeadDim.
StatusOr<KvLayout> make_kv_layout(KvFormat k, KvFormat v, int page_tokens, int n_kv_heads,
                                  int k_head_dim, int v_head_dim);

/// Stores one token at `slot` (0..page_tokens-1) of `page`.
///   k  [n_kv_heads, k_head_dim] f32, already roped    v  [n_kv_heads, v_head_dim] f32
/// Threads: writes to different slots may run at the same time.
void kv_write(const KvLayout& layout, uint8_t* page, int slot, const float* k, const float* v);

/// Reads one token back, as attention sees it (in kQ4 still rotated). Outputs may be null.
///   k  [n_kv_heads, k_head_dim] f32    v  [n_kv_heads, v_head_dim] f32
void kv_read(const KvLayout& layout, const uint8_t* page, int slot, float* k, float* v);

/// Copies one token's stored bytes, all heads; pages may be the same one.
void kv_copy_slot(const KvLayout& layout, const uint8_t* from, int from_slot, uint8_t* to,
                  int to_slot);

/// Normalised Walsh-Hadamard transform of x in blocks of the largest power of two that divides n;
/// its own inverse.
void hadamard_rotate(float* x, int n);

}  // namespace callie::kernels
