#include "kernels/machine_probe.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/machine_probe.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace callie::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Or of all words in [p, p + bytes), bytes a multiple of 1024; only the loads matter.
uint64_t read_all(const uint8_t* p, int64_t bytes) {
  const hn::ScalableTag<uint64_t> d;
  const int64_t step = static_cast<int64_t>(hn::Lanes(d)) * 8;
  auto a = hn::Zero(d), b = hn::Zero(d), c = hn::Zero(d), e = hn::Zero(d);
  for (int64_t i = 0; i < bytes; i += 4 * step) {
    const auto* at = reinterpret_cast<const uint64_t*>(p + i);
    const int64_t lanes = step / 8;
    hwy::Prefetch(p + i + 4096);
    a = hn::Or(a, hn::LoadU(d, at));
    b = hn::Or(b, hn::LoadU(d, at + lanes));
    c = hn::Or(c, hn::LoadU(d, at + 2 * lanes));
    e = hn::Or(e, hn::LoadU(d, at + 3 * lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Or(hn::Or(a, b), hn::Or(c, e))));
}

}  // namespace HWY_NAMESPACE
}  // namespace callie::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/matmul_kernels.h"

namespace callie::kernels {
namespace {

HWY_EXPORT(read_all);

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double read_gb_s(ThreadPool& pool, int64_t bytes, int passes) {
  constexpr int64_t kChunk = 1 << 20;
  const int64_t chunks = std::max<int64_t>(bytes / kChunk, pool.size());
  const size_t size = static_cast<size_t>((chunks + 2) * kChunk);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0.0;
  madvise(memory, size, MADV_HUGEPAGE);
  uint8_t* data = static_cast<uint8_t*>(memory);
  std::vector<uint64_t> sums(static_cast<size_t>(pool.size()) * 8);
  double best = 0.0;
  for (int pass = -1; pass < passes; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run([&](const Worker& worker) {
      const auto [begin, end] = worker.share(chunks);
      uint8_t* from = data + begin * kChunk;
      if (pass < 0) {
        std::fill(from, from + (end - begin) * kChunk, uint8_t{1});
      } else {
        sums[static_cast<size_t>(worker.index) * 8] |=
            HWY_DYNAMIC_DISPATCH(read_all)(from, (end - begin) * kChunk);
      }
    });
    if (pass >= 0) {
      best = std::max(best, static_cast<double>(chunks * kChunk) / seconds_since(start) / 1e9);
    }
  }
  volatile uint64_t sink = sums[0];
  (void)sink;
  munmap(memory, size);
  return best;
}

double dot_peak_gmac_s(ThreadPool& pool) {
  const MatmulKernels& kernels = active_matmul_kernels();
  int64_t iterations = 1000;
  double best = 0.0;
  for (int run = 0; run < 12; ++run) {
    std::vector<int64_t> done(static_cast<size_t>(pool.size()) * 8);
    const auto start = std::chrono::steady_clock::now();
    pool.run([&](const Worker& worker) {
      done[static_cast<size_t>(worker.index) * 8] = kernels.dot_peak(iterations);
    });
    const double seconds = seconds_since(start);
    int64_t total = 0;
    for (const int64_t n : done) total += n;
    if (seconds < 0.01) {
      iterations = static_cast<int64_t>(static_cast<double>(iterations) *
                                        std::clamp(0.012 / seconds, 1.5, 100.0));
    }
    if (seconds > 0.004) best = std::max(best, static_cast<double>(total) / seconds / 1e9);
  }
  return best;
}

}  // namespace callie::kernels
#endif
