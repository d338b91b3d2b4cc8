// Agreement with queueing theory: means over ten fixed seeds. A tenth of the requests runs by default, with the bounds
// widened by sqrt(10); CALLIE_FULL=1 runs a million per seed.

#include <gtest/gtest.h>

#include <cmath>

#include "plan/spec_helpers.h"
#include "plan/study/reference_cases.h"

namespace callie::plan {
namespace {

struct Estimate {
  double mean = 0, half_width = 0;  // 99 % interval over seeds, Student's t with 9 degrees of freedom
};

int64_t request_count() { return full_tests() ? 1'000'000 : 100'000; }
double bound(double full) { return full_tests() ? full : full * std::sqrt(10.0); }

template <typename Make>
Estimate over_seeds(const Make& make) {
  std::vector<double> values;
  for (uint64_t seed = 1; seed <= 10; ++seed) values.push_back(make(seed));
  Estimate e;
  for (const double v : values) e.mean += v / 10;
  double variance = 0;
  for (const double v : values) variance += (v - e.mean) * (v - e.mean) / 9;
  e.half_width = 3.2498 * std::sqrt(variance / 10);
  return e;
}

void expect_agrees(const Estimate& e, double theory, double relative, const std::string& what) {
  EXPECT_NEAR(e.mean, theory, bound(relative) * theory) << what;
  EXPECT_LE(std::abs(e.mean - theory), e.half_width + 1e-9 * theory) << what << ": theory outside the 99 % interval";
}

SimResult must(const SimSpec& spec) {
  auto result = simulate(spec);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return std::move(result).value();
}

TEST(Queueing, ReferenceCases) {
  for (const ReferenceCase& reference : reference_cases()) {
    auto estimate = over_ten_seeds(reference, request_count());
    ASSERT_TRUE(estimate.ok()) << reference.name << ": " << estimate.status().message();
    EXPECT_TRUE(estimate->little) << reference.name;
    expect_agrees({estimate->mean, estimate->half_width}, reference.theory, reference.bound, reference.name);
  }
}

TEST(Queueing, RandomSplitAndJoinTheShortestQueue) {
  // A Poisson stream split at random over two machines is two M/M/1 queues; the shorter queue does better than that but
  // not better than one fast queue of two servers.
  const double mu = 100, lambda = 140;
  const auto mean = [&](RouterKind kind) {
    return over_seeds([&](uint64_t seed) {
      SimSpec spec;
      spec.groups = {station(Role::kPreprocess, 1, "exponential(10)")};
      spec.groups[0].count = 2;
      spec.pipeline = {{StageKind::kPreprocess}};
      spec.routing.kind = kind;
      poisson(spec, lambda, request_count(), "1", "1", seed);
      return must(spec).all.e2e_ms.mean() / 1e3;
    });
  };
  const double split = 1 / (mu - lambda / 2);
  const double pooled = erlang_c(2, lambda / mu) / (2 * mu - lambda) + 1 / mu;
  expect_agrees(mean(RouterKind::kRandom), split, 0.02, "random split");
  const double shortest = mean(RouterKind::kLeastRequests).mean, two = mean(RouterKind::kPowerOfTwo).mean;
  EXPECT_GT(shortest, pooled);
  EXPECT_LT(shortest, 0.75 * split);
  EXPECT_NEAR(two, shortest, 0.03 * shortest);  // with two machines both look at both
  const double turns = mean(RouterKind::kRoundRobin).mean;
  EXPECT_LT(turns, split);  // Erlang-2 arrivals wait less than Poisson ones
  EXPECT_GT(turns, shortest);
}

}  // namespace
}  // namespace callie::plan
