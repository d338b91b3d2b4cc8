#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace callie {

/// A sense-reversing barrier that spins briefly and then sleeps on the kernel's futex.
class Barrier {
 public:
  explicit Barrier(int n_threads);

  /// Blocks until all threads have arrived. Writes before it are visible to every thread after it.
  void arrive_and_wait();

  /// Polls before a waiting thread sleeps.
  int spins() const { return spins_; }

 private:
  const int n_threads_;
  const int spins_;
  alignas(64) std::atomic<int> waiting_;
  alignas(64) std::atomic<uint32_t> phase_;
};

/// One worker's view of a parallel region: its index, the number of workers, and their barrier.
struct Worker {
  int index = 0;
  int count = 1;
  Barrier* barrier = nullptr;

  /// All workers meet here.
  void sync() const {
    if (count > 1) barrier->arrive_and_wait();
  }

  /// This worker's contiguous share [begin, end) of 0..n-1. Static: depends on (n, index, count) only.
  struct Range {
    int64_t begin, end;
  };
  Range share(int64_t n) const { return {n * index / count, n * (index + 1) / count}; }
};

/// A fixed set of threads that run the same function (single program, multiple data). Threads spin for a short while
/// between regions and then sleep. Results must not depend on the number of threads: work is split statically, and no
/// sum is split over workers.
class ThreadPool {
 public:
  /// `n_threads` counts the caller; values below 1 mean one. `pin` ties worker i to the i-th processor of the
  /// process's affinity mask.
  explicit ThreadPool(int n_threads, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  /// Runs `body(worker)` on every thread, the caller's included, and returns when all are done. Calls from several
  /// threads take turns; a call from inside a region is a bug.
  void run(const std::function<void(const Worker&)>& body);

  /// Splits 0..n-1 into contiguous ranges and runs `body(begin, end)` on each.
  void parallel_for(int64_t n, const std::function<void(int64_t, int64_t)>& body);

  /// Processors' cores that this process may use, hyper-threads counted once; at least 1.
  static int physical_cores();

 private:
  void worker_loop(int index);

  struct State;
  const int n_threads_;
  std::unique_ptr<State> state_;
  std::vector<std::thread> threads_;
};

}  // namespace callie
