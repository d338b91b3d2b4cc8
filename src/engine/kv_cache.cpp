#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace callie {
namespace {

constexpr int64_t kDefaultMemory = int64_t{2} << 30;

}  // namespace

int64_t KvCache::block_bytes(const kernels::KvLayout& layout, int64_t n_layers) { return layout.page_bytes * n_layers; }

StatusOr<kernels::KvLayout> KvCache::layout(const nn::DecoderSpec& spec, kernels::KvFormat format,
                                            int block_tokens) {
  const auto head_dim = static_cast<int>(spec.head_dim);
  return kernels::make_kv_layout(format, format, block_tokens, static_cast<int>(spec.n_kv_heads), head_dim, head_dim);
}

StatusOr<KvCache> KvCache::create(const kernels::KvLayout& layout, int64_t n_layers, int32_t n_blocks) {
  KvCache cache;
  cache.n_layers_ = n_layers;
  cache.n_blocks_ = n_blocks;
  // Layers of a block lie side by side, so that copy-on-write is one copy and untouched blocks cost no memory.
  cache.storage_.layout = layout;
  cache.storage_.layer_stride = layout.page_bytes;
  cache.storage_.block_stride = block_bytes(layout, n_layers);
  CALLIE_ASSIGN_OR_RETURN(cache.memory_, AlignedBuffer<uint8_t>::allocate(cache.storage_.block_stride * n_blocks,
                                                                          "keys and values (--ctx, --kv-memory)"));
  cache.storage_.base = cache.memory_.data();
  return cache;
}

StatusOr<KvCache> KvCache::create(const nn::DecoderSpec& spec, const Demand& demand) {
  CALLIE_ASSIGN_OR_RETURN(const kernels::KvLayout layout, KvCache::layout(spec, demand.format, demand.block_tokens));
  const auto n_layers = static_cast<int64_t>(spec.layers.size());
  const int64_t each = block_bytes(layout, n_layers);
  const int64_t blocks_each = (demand.context + layout.page_tokens - 1) / layout.page_tokens;
  const int64_t memory = demand.memory > 0 ? demand.memory : std::max(kDefaultMemory, blocks_each * each);
  const int64_t n_blocks = std::min(blocks_each * demand.sequences, memory / each);
  if (n_blocks < 1) {
    return resource_exhausted("--kv-memory: {} bytes do not hold one block of {} tokens ({} bytes)", memory,
                              layout.page_tokens, each);
  }
  return create(layout, n_layers, static_cast<int32_t>(n_blocks));
}

sched::BlockPoolOptions KvCache::unshared_pool() const {
  sched::BlockPoolOptions options;
  options.n_blocks = n_blocks_;
  options.block_size = storage_.layout.page_tokens;
  options.prefix_cache = false;
  options.verify_tokens = false;
  return options;
}

void KvCache::copy_block(int32_t from, int32_t to) {
  std::memcpy(storage_.page(0, to), storage_.page(0, from), storage_.block_stride);
}

void KvCache::copy_slot(std::span<const int32_t> blocks, int32_t from_slot, int32_t to_slot) {
  const int page_tokens = storage_.layout.page_tokens;
  for (int64_t layer = 0; layer < n_layers_; ++layer) {
    kernels::kv_copy_slot(storage_.layout, storage_.page(layer, blocks[from_slot / page_tokens]),
                          from_slot % page_tokens, storage_.page(layer, blocks[to_slot / page_tokens]),
                          to_slot % page_tokens);
  }
}

}  // namespace callie
