#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>

namespace callie {
namespace {

TEST(ThreadPool, EveryIndexIsVisitedOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 2, 5, 1000}) {
      std::vector<std::atomic<int>> visits(n);
      pool.parallel_for(n, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[i];
      });
      for (int64_t i = 0; i < n; ++i) EXPECT_EQ(visits[i], 1) << i << " of " << n;
    }
  }
}

TEST(ThreadPool, BarrierSeparatesPhases) {
  constexpr int kPhases = 2000;
  ThreadPool pool(3);
  std::vector<int> value(3, 0);
  std::atomic<int> wrong{0};
  pool.run([&](const Worker& worker) {
    for (int phase = 1; phase <= kPhases; ++phase) {
      value[worker.index] = phase;
      worker.sync();
      for (int other : value) wrong += other != phase;
      worker.sync();
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPool, CallersTakeTurns) {
  ThreadPool pool(2);
  std::atomic<int64_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        pool.parallel_for(10, [&](int64_t begin, int64_t end) { total += end - begin; });
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 200 * 10);
}

}  // namespace
}  // namespace callie
