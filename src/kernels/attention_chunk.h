#pragma once

#include <cstdint>

#include "kernels/attention.h"

namespace callie::kernels {

/// The state of one query head over some keys: [maximum, sum, mass of each range, padding |
/// accumulator]. Scores are in units of log2; sum and accumulator are relative to 2^maximum. sum ==
/// 0 means that no key was visible.
constexpr int64_t kStateHeader = 16;
constexpr int kStateMax = 0, kStateSum = 1, kStateMass = 2;

/// Floats of a state, with the accumulator padded to whole vectors.
constexpr int64_t state_floats(int v_head_dim) {
  return kStateHeader + (v_head_dim + 15) / 16 * 16;
}

/// Queries in registers and caches at once: rows x heads of a KV head.
constexpr int64_t kTileQueries = 64;

/// A worker's buffers, carved out of its scratch.
struct AttentionScratch {
  float* q;        ///< [queries, row stride]
  float* scores;   ///< [queries, row stride]
  float* running;  ///< [queries, state]
  float* chunk;    ///< [queries, state]
  float* k;  ///< [16 + 1 panels, k_head_dim, 16] one chunk of keys, widened, and room for one more
             ///< panel
  float* v;  ///< [v panels, kAttentionChunk, 16] one chunk of values, widened
  float* k_scale;  ///< [kAttentionChunk], likewise the next three
  float* k_min;
  float* v_scale;
  float* v_min;
  float* q_sum;    ///< [queries]
  float* offsets;  ///< [queries]
};

/// Copies the queries of rows x heads into q, in the units that chunks need.
void attention_load_queries(const AttentionShape& shape, const AttentionRow* rows, int n_rows,
                            int kv_head, const AttentionScratch& scratch);

/// States of the tile's queries [first, first + n_rows) over the keys of one chunk.
void attention_chunk(const AttentionShape& shape, const AttentionRow* rows, int first, int n_rows,
                     int kv_head, int64_t chunk, const AttentionScratch& scratch, float* states);

/// Merges `chunk` states into `running` ones; both [n_queries, state].
void attention_fold(const AttentionShape& shape, int64_t n_queries, const float* chunk,
                    float* running);

/// Writes outputs (and masses) from final states of rows x heads.
void attention_finish(const AttentionShape& shape, const AttentionRow* rows, int n_rows,
                      int kv_head, const float* states);

}  // namespace callie::kernels
