#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kv_page.h"

namespace callie::kernels {

/// What is the same for all rows of a call.
struct AttentionShape {
  int n_heads =
      0;  ///< a multiple of kv.n_kv_heads; head h reads KV head h / (n_heads / n_kv_heads)
  KvLayout kv;
  float soft_cap = 0.0f;  ///< > 0: scores become soft_cap * tanh(score / soft_cap)
};

/// Keys [begin, end) of a sequence, by key index.
struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;
};
constexpr int kMaxMassRanges = 8;

/// One query. Keys first_key..n_keys-1 are visible; key j lies at slot j of the page table, or,
/// when tail_slots is set and j >= tail_start, at slot tail_slots[j - tail_start] (tree rows). Slot
/// s is in pages[s / page_tokens].
struct AttentionRow {
  const float* q = nullptr;  ///< [n_heads, k_head_dim], roped, multiplied by the softmax scale
  float* out = nullptr;      ///< [n_heads, v_head_dim]
  int64_t n_keys = 0;        ///< >= 1, the row's own key included
  int64_t first_key = 0;     ///< < n_keys; sliding windows start here
  const uint8_t* const* pages = nullptr;
  int64_t tail_start = 0;
  const int32_t* tail_slots = nullptr;
  const float* head_scale =
      nullptr;  ///< [n_heads]? multiplies a head's output; 0 mutes it (output exactly 0)
  std::span<const KeyRange> mass_ranges{};  ///< at most kMaxMassRanges
  float* mass = nullptr;  ///< [n_heads, mass_ranges.size()]? sum of probabilities over each range
};

/// Splits the attention of a set of rows into units for SPMD workers. Results are the same bits for
/// any company of rows, split and number of workers: every chunk of kAttentionChunk keys is
/// computed on its own, in one order, and chunks are merged ascending.
///
/// Use, once per step and kind of layer:     plan.build(shape, rows, n_workers);
/// then in each layer, on every worker w:    plan.run(rows, w, scratch of w, partials);
///                                           if (plan.needs_merge()) { sync; plan.merge(rows, w,
///                                           partials); }
/// `rows` in run() may have other q, out and pages than those of build(), but the same lengths and
/// tails; rows of one sequence that stand next to each other share a `pages` pointer (they are
/// computed together).
class AttentionPlan {
 public:
  /// Keeps its buffers between calls. n_workers >= 1.
  void build(const AttentionShape& shape, std::span<const AttentionRow> rows, int n_workers);

  /// Floats of scratch that each worker needs; depends on the shape only.
  static int64_t scratch_floats(const AttentionShape& shape);
  /// Floats of the buffer for partial results that all workers share; may be 0.
  int64_t partial_floats() const { return partial_floats_; }
  bool needs_merge() const { return !splits_.empty(); }

  void run(std::span<const AttentionRow> rows, int worker, float* scratch, float* partials) const;
  /// After every worker's run() (a barrier between).
  void merge(std::span<const AttentionRow> rows, int worker, float* partials) const;

  /// Rows [row, row + n_rows) with one KV head, over chunks [chunk_begin, chunk_end).
  struct Unit {
    int32_t row, n_rows, kv_head;
    int32_t chunk_begin, chunk_end;
    int64_t partial;  ///< -1: writes outputs; otherwise where its states go in the partials
    bool first;       ///< starts at the tile's first chunk: folds all its chunks into one state
  };
  /// A tile whose chunks are spread over units [unit_begin, unit_end).
  struct Split {
    int32_t unit_begin, unit_end;
  };

 private:
  AttentionShape shape_;
  int n_workers_ = 1;
  std::vector<Unit> units_;
  std::vector<Unit> tiles_;  // scratch of build()
  std::vector<int32_t> worker_begin_;  // [n_workers + 1] into units_
  std::vector<Split> splits_;
  int64_t partial_floats_ = 0;
};

/// Attention of one sequence with itself, no cache, every key visible to every query (BERT), one
/// head.
///   q, k  [n, head_dim] with row strides; v [n, head_dim]; out [n, head_dim]; q multiplied by the
///   softmax scale
struct BidirectionalHead {
  const float* q;
  const float* k;
  const float* v;
  float* out;
  int64_t n = 0;  ///< tokens
  int head_dim = 0;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;  ///< floats between tokens
};
/// Floats of scratch for sequences of up to max_tokens.
int64_t attention_bidirectional_scratch_floats(int64_t max_tokens, int head_dim);
void attention_bidirectional(const BidirectionalHead& head, float* scratch);

}  // namespace callie::kernels
