#pragma once

#include <cstdint>
#include <span>

#include "kernels/kv_page.h"

namespace callie::nn {

/// One row of a forward pass: a token (or an embedding) of a sequence.
///
/// `position` is the index of the row's key in its sequence: it sees keys 0..position along its own path. A chain has
/// parent -1; a tree row names the batch row it continues. `slot` is where its key is stored; for a chain
/// slot == position, for trees the rows of a batch lie one after the other behind the committed keys.
struct ForwardRow {
  int32_t token = -1;
  const float* embedding = nullptr;  ///< [hidden_size]? used instead of the token
  int32_t sequence = 0;              ///< index into ForwardBatch::sequences
  int32_t position = 0;
  int32_t rope_position = 0;         ///< usually == position
  int32_t slot = 0;
  int32_t parent = -1;               ///< index of a batch row of the same sequence, or -1
  bool wants_logits = false;
};

/// Where a sequence's keys and values lie: its block table.
struct SequencePages {
  std::span<const int32_t> blocks;  ///< block of keys [i * page_tokens, (i + 1) * page_tokens)
};

/// The storage behind block ids: page (layer, block) holds page_tokens tokens of one layer.
struct KvStorage {
  kernels::KvLayout layout;
  uint8_t* base = nullptr;
  int64_t layer_stride = 0;  ///< bytes
  int64_t block_stride = 0;  ///< bytes

  uint8_t* page(int64_t layer, int32_t block) const { return base + layer * layer_stride + block * block_stride; }
};

/// Rows of one sequence are consecutive and in ascending slot order.
struct ForwardBatch {
  std::span<const ForwardRow> rows;
  std::span<const SequencePages> sequences;
  KvStorage kv;
};

}  // namespace callie::nn
