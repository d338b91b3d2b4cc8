#include "sched/block_pool.h"

#include <algorithm>
#include <bit>

#include "core/hash.h"

namespace callie::sched {

BlockHash chain_hash(BlockHash parent, std::span<const int32_t> tokens) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(tokens.data());
  const uint64_t hash = xxh64({bytes, tokens.size_bytes()}, parent);
  return hash == 0 ? 1 : hash;
}

BlockPool::BlockPool(const BlockPoolOptions& options)
    : options_(options), references_(options.n_blocks), states_(options.n_blocks), blocks_(options.n_blocks) {
  const auto n = static_cast<uint64_t>(std::max(options.n_blocks, 1));
  const uint64_t capacity = std::bit_ceil(n * 2);
  shift_ = 64 - std::countr_zero(capacity);
  if (options_.prefix_cache) {
    table_.resize(capacity);
    if (options_.verify_tokens) tokens_.resize(n * static_cast<uint64_t>(options.block_size));
  }
  free_.reserve(n);
  for (BlockId id = options.n_blocks - 1; id >= 0; --id) free_.push_back(id);
}

void BlockPool::append_cached(BlockId id) {
  Block& block = blocks_[id];
  block.previous = newest_;
  block.next = kNoBlock;
  (newest_ == kNoBlock ? oldest_ : blocks_[newest_].next) = id;
  newest_ = id;
  ++n_cached_;
}

void BlockPool::remove_cached(BlockId id) {
  Block& block = blocks_[id];
  (block.previous == kNoBlock ? oldest_ : blocks_[block.previous].next) = block.next;
  (block.next == kNoBlock ? newest_ : blocks_[block.next].previous) = block.previous;
  --n_cached_;
}

size_t BlockPool::find_slot(BlockHash hash) const {
  const size_t mask = table_.size() - 1;
  size_t at = home(hash);
  while (table_[at].id != kNoBlock && table_[at].hash != hash) at = (at + 1) & mask;
  return at;
}

void BlockPool::insert(BlockHash hash, BlockId id) { table_[find_slot(hash)] = {hash, id}; }

void BlockPool::erase(BlockHash hash) {
  const size_t mask = table_.size() - 1;
  size_t hole = find_slot(hash);
  if (table_[hole].id == kNoBlock) return;
  // Moves later entries of the same run back, so that no tombstones are needed.
  for (size_t at = (hole + 1) & mask; table_[at].id != kNoBlock; at = (at + 1) & mask) {
    const size_t distance = (at - home(table_[at].hash)) & mask;
    if (distance >= ((at - hole) & mask)) {
      table_[hole] = table_[at];
      hole = at;
    }
  }
  table_[hole] = {};
}

BlockId BlockPool::evict() {
  const BlockId id = oldest_;
  if (id == kNoBlock) return kNoBlock;
  remove_cached(id);
  erase(blocks_[id].hash);
  blocks_[id].hash = 0;
  states_[id] = State::kPlain;
  references_[id] = 1;
  ++stats_.evictions;
  ++stats_.allocations;
  ++version_;
  return id;
}

void BlockPool::retain(BlockId id) {
  if (references_[id]++ == 0) remove_cached(id);
  ++version_;
}

BlockPool::Found BlockPool::find(BlockHash hash, std::span<const int32_t> tokens) {
  ++stats_.lookups;
  if (!options_.prefix_cache || hash == 0) return {};
  const BlockId id = table_[find_slot(hash)].id;
  if (id == kNoBlock) return {};
  if (states_[id] != State::kReady) return {Presence::kPending, id};
  if (!tokens_.empty() && !tokens.empty()) {
    const int32_t* stored = &tokens_[static_cast<size_t>(id) * options_.block_size];
    if (!std::equal(tokens.begin(), tokens.end(), stored)) {
      ++stats_.collisions;
      return {};
    }
  }
  ++stats_.hits;
  return {Presence::kReady, id};
}

void BlockPool::announce(BlockId id, BlockHash hash) {
  if (!options_.prefix_cache || hash == 0) return;
  Slot& slot = table_[find_slot(hash)];
  if (slot.id != kNoBlock) return;
  slot = {hash, id};
  blocks_[id].hash = hash;
  states_[id] = State::kPending;
  ++version_;
}

bool BlockPool::publish(BlockId id, BlockHash hash, std::span<const int32_t> tokens) {
  if (!options_.prefix_cache || hash == 0) return false;
  Slot& slot = table_[find_slot(hash)];
  if (slot.id != kNoBlock && slot.id != id) {
    if (states_[slot.id] == State::kReady) return false;
    blocks_[slot.id].hash = 0;
    states_[slot.id] = State::kPlain;  // that owner is slower: ours is found from now on
  }
  slot = {hash, id};
  blocks_[id].hash = hash;
  states_[id] = State::kReady;
  if (!tokens_.empty() && !tokens.empty()) {
    std::copy(tokens.begin(), tokens.end(), &tokens_[static_cast<size_t>(id) * options_.block_size]);
  }
  ++version_;
  return true;
}

void BlockPool::unpublish(BlockId id) {
  Block& block = blocks_[id];
  if (block.hash == 0) return;
  erase(block.hash);
  block.hash = 0;
  states_[id] = State::kPlain;
  ++version_;
}

void BlockPool::clear_cache() {
  while (oldest_ != kNoBlock) {
    const BlockId id = oldest_;
    remove_cached(id);
    unpublish(id);
    free_.push_back(id);
  }
}

}  // namespace callie::sched
