// After warm-up a simulation allocates nothing: a counting operator new compares a run with one twice as long.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "plan/spec_helpers.h"

namespace {
std::atomic<int64_t> allocations{0};
}

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace callie::plan {
namespace {

int64_t allocations_of(const std::string& policy, int64_t requests, bool shared) {
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 500, .per_prefill_us = 1, .per_decode_us = 5}, policy, 64, 512, 4096)};
  spec.pipeline = kGenerate;
  poisson(spec, 100, requests, "200", "uniform(1, 40)");
  spec.workload.classes[0].shared_prefix = shared ? 64 : 0;
  const int64_t before = allocations.load();
  auto result = simulate(spec);
  EXPECT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->finished, requests);
  return allocations.load() - before;
}

TEST(Allocation, NoneAfterWarmUp) {
  for (const char* policy : {"vllm1", "callie", "orca", "vllm0", "sarathi", "mixed", "chunked", "continuous", "static"}) {
    for (const bool shared : {false, true}) {
      const int64_t once = allocations_of(policy, 30'000, shared), twice = allocations_of(policy, 60'000, shared);
      // What grows with the number of requests are the lists of exact latencies, by doubling: 5 lists of 2 classes.
      EXPECT_LE(twice - once, 10) << policy << (shared ? ", shared prefixes" : "");
    }
  }
}

}  // namespace
}  // namespace callie::plan
