#include "engine/kv_cache.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

namespace callie {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

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
  cache.bytes_ = (cache.storage_.block_stride * n_blocks + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = mmap(nullptr, cache.bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    cache.bytes_ = 0;
    return resource_exhausted("cannot reserve {} MiB for keys and values (--ctx, --kv-memory)",
                              cache.storage_.block_stride * n_blocks >> 20);
  }
  madvise(memory, cache.bytes_, MADV_HUGEPAGE);  // deep contexts are read as fast as weights
  cache.storage_.base = static_cast<uint8_t*>(memory);
  return cache;
}

sched::BlockPoolOptions KvCache::unshared_pool() const {
  sched::BlockPoolOptions options;
  options.n_blocks = n_blocks_;
  options.block_size = storage_.layout.page_tokens;
  options.prefix_cache = false;
  options.verify_tokens = false;
  return options;
}

KvCache::KvCache(KvCache&& other) noexcept { *this = std::move(other); }

KvCache& KvCache::operator=(KvCache&& other) noexcept {
  std::swap(storage_, other.storage_);
  std::swap(n_layers_, other.n_layers_);
  std::swap(n_blocks_, other.n_blocks_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

KvCache::~KvCache() {
  if (storage_.base) munmap(storage_.base, bytes_);
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
