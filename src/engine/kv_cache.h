#pragma once

#include <cstdint>

#include "core/aligned_buffer.h"
#include "core/status.h"
#include "nn/decoder_spec.h"
#include "nn/forward_batch.h"
#include "sched/block_pool.h"

namespace callie {

/// Storage of keys and values addressed by block id: one block holds `page_tokens` tokens of every layer. Who owns
/// which block is sched::BlockPool's business.
class KvCache {
 public:
  static constexpr int kBlockTokens = 64;  ///< where a block is not shared between sequences

  /// How a model's keys and values are stored. Errors: kInvalidArgument (a head that is too large, a block that does not
  /// divide an attention chunk).
  static StatusOr<kernels::KvLayout> layout(const nn::DecoderSpec& spec, kernels::KvFormat format,
                                            int block_tokens = kBlockTokens);

  /// Errors: kResourceExhausted when the memory cannot be had.
  static StatusOr<KvCache> create(const kernels::KvLayout& layout, int64_t n_layers, int32_t n_blocks);

  /// What is asked of a cache: `sequences` of `context` tokens each, within `memory` bytes (0: at most 2 GiB, but always
  /// one sequence).
  struct Demand {
    kernels::KvFormat format = kernels::KvFormat::kF16;
    int block_tokens = kBlockTokens;
    int64_t context = 0;  ///< at least 1
    int64_t sequences = 1;
    int64_t memory = 0;
  };
  /// As many of the blocks asked for as the memory holds. Errors: those of layout() and create(); kResourceExhausted when
  /// not one block fits.
  static StatusOr<KvCache> create(const nn::DecoderSpec& spec, const Demand& demand);

  KvCache() = default;

  const nn::KvStorage& storage() const { return storage_; }
  int32_t n_blocks() const { return n_blocks_; }
  int64_t bytes() const { return static_cast<int64_t>(memory_.size()); }
  int64_t tokens() const { return int64_t{n_blocks_} * storage_.layout.page_tokens; }  ///< that fit
  int64_t block_bytes() const { return storage_.block_stride; }

  /// Copies the contents of a block (copy-on-write).
  void copy_block(int32_t from, int32_t to);
  /// Moves the keys and values of one slot of a sequence to another, in every layer (the accepted path of a tree).
  void copy_slot(std::span<const int32_t> blocks, int32_t from_slot, int32_t to_slot);

  /// Options of a pool that hands out this storage's blocks without sharing them between sequences.
  sched::BlockPoolOptions unshared_pool() const;

  /// Bytes of one block of a layout over all layers.
  static int64_t block_bytes(const kernels::KvLayout& layout, int64_t n_layers);

 private:
  nn::KvStorage storage_;
  int64_t n_layers_ = 0;
  int32_t n_blocks_ = 0;
  AlignedBuffer<uint8_t> memory_;
};

}  // namespace callie
