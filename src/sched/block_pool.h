#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace callie::sched {

/// Index of one page of the KV cache, 0..n_blocks-1. Storage is addressed by it; the pool hands it out.
using BlockId = int32_t;
inline constexpr BlockId kNoBlock = -1;

/// Hash of a full block *and of everything before it*; 0 means "none".
using BlockHash = uint64_t;

/// The hash of a block whose tokens are `tokens` and that follows a block with hash `parent`.
/// XXH64 of the tokens with the parent as the seed; never 0. The first block's parent is the request's salt.
BlockHash chain_hash(BlockHash parent, std::span<const int32_t> tokens);

struct BlockPoolOptions {
  int32_t n_blocks = 0;
  int32_t block_size = 16;    ///< tokens in a block
  bool prefix_cache = true;   ///< keep the contents of released full blocks findable by hash
  bool verify_tokens = true;  ///< remember each published block's tokens, so that a hash collision is a miss
};

struct BlockPoolStats {
  int64_t allocations = 0;
  int64_t evictions = 0;  ///< cached blocks that lost their contents to an allocation
  int64_t lookups = 0;
  int64_t hits = 0;
  int64_t collisions = 0;  ///< equal hashes of different tokens, counted as misses
};

/// The only allocator of KV blocks: ids, reference counts, the prefix cache, and the order in which its blocks are
/// given up. Every operation is O(1) and allocates nothing after construction. Not thread-safe.
///
/// A block is *used* (references > 0), *cached* (no references, findable by hash, last released is given up last) or
/// *free*. used + cached + free = n_blocks at every moment.
class BlockPool {
 public:
  explicit BlockPool(const BlockPoolOptions& options);

  int32_t n_blocks() const { return options_.n_blocks; }
  int32_t block_size() const { return options_.block_size; }
  bool prefix_cache() const { return options_.prefix_cache; }
  /// Blocks that hold `n_tokens` tokens.
  int32_t blocks_for(int64_t n_tokens) const {
    return static_cast<int32_t>((n_tokens + options_.block_size - 1) / options_.block_size);
  }
  int32_t used() const { return options_.n_blocks - available(); }
  int32_t cached() const { return n_cached_; }
  /// Blocks that allocate() can still give: free ones, then cached ones.
  int32_t available() const { return static_cast<int32_t>(free_.size()) + n_cached_; }
  const BlockPoolStats& stats() const { return stats_; }
  /// Changes whenever the pool does; equal versions mean that a failed admission would fail again.
  uint64_t version() const { return version_; }

  /// A block with one reference and no contents; kNoBlock when every block is used.
  BlockId allocate() {
    if (free_.empty()) return evict();
    const BlockId id = free_.back();
    free_.pop_back();
    references_[id] = 1;
    ++stats_.allocations;
    ++version_;
    return id;
  }
  /// One reference more, to share a block between sequences.
  void retain(BlockId id);
  /// One reference less. The last one makes the block cached if it is ready under its hash, else free.
  void release(BlockId id) {
    ++version_;
    if (--references_[id] > 0) return;
    if (states_[id] == State::kReady) {
      append_cached(id);
    } else {
      if (states_[id] == State::kPending) unpublish(id);
      free_.push_back(id);
    }
  }
  int32_t references(BlockId id) const { return references_[id]; }
  BlockHash hash(BlockId id) const { return blocks_[id].hash; }

  /// Where a hash stands: nowhere, in a block that some sequence has yet to compute, or ready to be shared.
  enum class Presence { kAbsent, kPending, kReady };
  struct Found {
    Presence presence = Presence::kAbsent;
    BlockId id = kNoBlock;
  };
  /// Looks a full block up. `tokens` may be empty when only hashes are known. Does not change references.
  Found find(BlockHash hash, std::span<const int32_t> tokens = {});

  /// Announces that the owner of `id` will compute the contents `hash`; others can wait for them instead of computing
  /// them again. No effect when the hash is known already, or without a prefix cache.
  void announce(BlockId id, BlockHash hash);
  /// The contents of `id` are complete: it becomes findable. Another block that is ready under that hash stays the
  /// findable one, and false is returned.
  bool publish(BlockId id, BlockHash hash, std::span<const int32_t> tokens = {});
  /// Forgets the hash of `id`, because its contents are about to change or were never completed.
  void unpublish(BlockId id);
  /// Drops every cached block's contents.
  void clear_cache();

 private:
  /// Contents with a hash. Free blocks have none.
  struct Block {
    BlockHash hash = 0;
    BlockId previous = kNoBlock;  // in the order of eviction, while cached
    BlockId next = kNoBlock;
  };
  enum class State : uint8_t { kPlain, kPending, kReady };  // no hash; announced; findable
  struct Slot {
    BlockHash hash = 0;
    BlockId id = kNoBlock;
  };

  size_t home(BlockHash hash) const { return (hash * 0x9E3779B97F4A7C15u) >> shift_; }
  size_t find_slot(BlockHash hash) const;
  void insert(BlockHash hash, BlockId id);
  void erase(BlockHash hash);
  void append_cached(BlockId id);
  void remove_cached(BlockId id);
  /// Takes the oldest cached block.
  BlockId evict();

  BlockPoolOptions options_;
  // By block. Allocation and release of plain blocks, the common case, touch the two small arrays only.
  std::vector<int32_t> references_;
  std::vector<State> states_;
  std::vector<Block> blocks_;
  std::vector<Slot> table_;      // open addressing, linear probing, at most half full
  std::vector<int32_t> tokens_;  // [n_blocks, block_size], with verify_tokens
  int shift_ = 0;
  std::vector<BlockId> free_;       // a stack
  BlockId oldest_ = kNoBlock;       // given up first
  BlockId newest_ = kNoBlock;
  int32_t n_cached_ = 0;
  uint64_t version_ = 0;
  BlockPoolStats stats_;
};

}  // namespace callie::sched
