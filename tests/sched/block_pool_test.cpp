#include "sched/block_pool.h"

#include <gtest/gtest.h>

#include <list>
#include <map>

#include "core/philox.h"

namespace callie::sched {
namespace {

TEST(BlockPool, ReleasedBlocksAreFoundUntilTheyAreNeeded) {
  BlockPool pool({.n_blocks = 3, .block_size = 2});
  const std::vector<int32_t> tokens = {1, 2};
  const BlockHash hash = chain_hash(0, tokens);
  const BlockId a = pool.allocate();
  pool.announce(a, hash);
  EXPECT_EQ(pool.find(hash, tokens).presence, BlockPool::Presence::kPending);
  EXPECT_TRUE(pool.publish(a, hash, tokens));
  pool.release(a);
  EXPECT_EQ(pool.cached(), 1);
  EXPECT_EQ(pool.find(hash, tokens).id, a);
  const BlockId b = pool.allocate(), c = pool.allocate();
  EXPECT_NE(b, a);
  EXPECT_NE(c, a);
  EXPECT_EQ(pool.find(hash, tokens).id, a);
  EXPECT_EQ(pool.allocate(), a);
  EXPECT_EQ(pool.find(hash, tokens).presence, BlockPool::Presence::kAbsent);
  EXPECT_EQ(pool.allocate(), kNoBlock);
  EXPECT_EQ(pool.stats().evictions, 1);
}

TEST(BlockPool, EqualHashOfOtherTokensIsAMiss) {
  BlockPool pool({.n_blocks = 2, .block_size = 2});
  const std::vector<int32_t> tokens = {1, 2}, others = {1, 3};
  const BlockId a = pool.allocate();
  pool.publish(a, 77, tokens);
  EXPECT_EQ(pool.find(77, tokens).id, a);
  EXPECT_EQ(pool.find(77, others).presence, BlockPool::Presence::kAbsent);
  EXPECT_EQ(pool.stats().collisions, 1);
}

TEST(BlockPool, AnUnfinishedBlockIsForgottenWithItsOwner) {
  BlockPool pool({.n_blocks = 2, .block_size = 2});
  const BlockId a = pool.allocate();
  pool.announce(a, 5);
  pool.release(a);
  EXPECT_EQ(pool.find(5).presence, BlockPool::Presence::kAbsent);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(pool.cached(), 0);
}

// Against a model made of standard containers: the same blocks are found, and the same contents are given up.
TEST(BlockPool, EqualsAPlainModelOnRandomOperations) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SequentialRng rng(seed, Purpose::kTest);
    const int32_t n = 1 + static_cast<int32_t>(rng.next_below(40));
    BlockPool pool({.n_blocks = n, .block_size = 4, .verify_tokens = false});
    std::vector<int> references(n, 0);
    std::vector<uint64_t> held(n, 0);
    std::map<uint64_t, BlockId> index;
    std::list<BlockId> lru;
    for (int i = 0; i < 4000; ++i) {
      const auto id = static_cast<BlockId>(rng.next_below(n));
      const uint64_t hash = 1 + rng.next_below(60);
      switch (rng.next_below(4)) {
        case 0: {
          const bool any_free = static_cast<int32_t>(lru.size()) < pool.available();
          const BlockId got = pool.allocate();
          if (got == kNoBlock) {
            EXPECT_TRUE(lru.empty());
            break;
          }
          if (!any_free) {
            ASSERT_EQ(got, lru.front());
            lru.pop_front();
            index.erase(held[got]);
          }
          ASSERT_EQ(references[got], 0);
          references[got] = 1;
          held[got] = 0;
          break;
        }
        case 1:
          if (references[id] == 0) break;
          pool.release(id);
          if (--references[id] == 0 && held[id] != 0) lru.push_back(id);
          break;
        case 2:
          if (references[id] == 0 || held[id] != 0) break;
          ASSERT_EQ(pool.publish(id, hash), index.count(hash) == 0);
          if (index.emplace(hash, id).second) held[id] = hash;
          break;
        default: {
          const auto found = pool.find(hash);
          ASSERT_EQ(found.presence == BlockPool::Presence::kReady, index.count(hash) == 1);
          if (found.id == kNoBlock) break;
          ASSERT_EQ(found.id, index[hash]);
          if (references[found.id]++ == 0) lru.remove(found.id);
          pool.retain(found.id);
        }
      }
      ASSERT_EQ(pool.cached(), static_cast<int32_t>(lru.size()));
      ASSERT_EQ(pool.used() + pool.available(), n);
    }
  }
}

}  // namespace
}  // namespace callie::sched
