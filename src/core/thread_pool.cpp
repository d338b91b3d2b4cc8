#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <set>
#include <string>

namespace callie {
namespace {

// Long enough to bridge the gap between two kernels of one step, short enough to leave the processor to others when
// the engine idles: about 50 microseconds.
constexpr int kSpins = 20000;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` differs from `old`: spins, then sleeps.
template <typename T>
void wait_for_change(const std::atomic<T>& value, T old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

std::vector<int> allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> processors;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) processors.push_back(i);
    }
  }
  return processors;
}

void pin_current_thread(int index) {
  const std::vector<int> processors = allowed_processors();
  if (processors.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processors[index % processors.size()], &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace

Barrier::Barrier(int n_threads)
    // More threads than processors: the one that is waited for cannot run while another spins.
    : n_threads_(n_threads),
      spins_(n_threads <= static_cast<int>(allowed_processors().size()) ? kSpins : 0),
      waiting_(0),
      phase_(0) {}

void Barrier::arrive_and_wait() {
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_threads_) {
    waiting_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  wait_for_change(phase_, phase, spins_);
}

struct ThreadPool::State {
  explicit State(int n) : barrier(n) {}
  std::mutex region;  // one region at a time
  Barrier barrier;
  const std::function<void(const Worker&)>* body = nullptr;
  alignas(64) std::atomic<uint32_t> generation{0};
  alignas(64) std::atomic<int> running{0};
  std::atomic<bool> stop{false};
  bool pin = false;
};

ThreadPool::ThreadPool(int n_threads, bool pin)
    : n_threads_(std::max(1, n_threads)), state_(std::make_unique<State>(n_threads_)) {
  state_->pin = pin;
  for (int i = 1; i < n_threads_; ++i) threads_.emplace_back([this, i] { worker_loop(i); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_relaxed);
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::worker_loop(int index) {
  if (state_->pin) pin_current_thread(index);
  uint32_t seen = 0;
  while (true) {
    wait_for_change(state_->generation, seen, state_->barrier.spins());
    seen = state_->generation.load(std::memory_order_acquire);
    if (state_->stop.load(std::memory_order_relaxed)) return;
    (*state_->body)(Worker{index, n_threads_, &state_->barrier});
    if (state_->running.fetch_sub(1, std::memory_order_acq_rel) == 1) state_->running.notify_all();
  }
}

void ThreadPool::run(const std::function<void(const Worker&)>& body) {
  std::lock_guard<std::mutex> lock(state_->region);
  if (n_threads_ == 1) {
    body(Worker{0, 1, &state_->barrier});
    return;
  }
  state_->body = &body;
  state_->running.store(n_threads_ - 1, std::memory_order_relaxed);
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
  body(Worker{0, n_threads_, &state_->barrier});
  for (int left; (left = state_->running.load(std::memory_order_acquire)) != 0;) {
    wait_for_change(state_->running, left, state_->barrier.spins());
  }
  state_->body = nullptr;
}

void ThreadPool::parallel_for(int64_t n, const std::function<void(int64_t, int64_t)>& body) {
  run([&](const Worker& worker) {
    const auto [begin, end] = worker.share(n);
    if (begin < end) body(begin, end);
  });
}

int ThreadPool::physical_cores() {
  std::set<std::string> cores;
  for (int processor : allowed_processors()) {
    std::ifstream file(
        "/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(processor);
    cores.insert(siblings);
  }
  return std::max<int>(1, static_cast<int>(cores.size()));
}

}  // namespace callie
