// Agreement with queueing theory: means over ten fixed seeds. A tenth of the requests runs by default, with the bounds
// widened by sqrt(10); CALLIE_FULL=1 runs a million per seed.

#include <gtest/gtest.h>

#include <cmath>

#include "plan/spec_helpers.h"

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

/// Little's law holds exactly, not within a tolerance: both sides are sums of integers.
void expect_little(const SimResult& r) {
  EXPECT_EQ(r.inside_s, r.stay_s);
  for (const ClientResult& c : r.clients) EXPECT_EQ(c.inside_s, c.stay_s) << c.name;
}

TEST(Queueing, MG1GeometricAndDeterministic) {
  // One sequence at a time, one token per millisecond: the service time is the output length.
  constexpr double kMean = 10, kStepS = 1e-3;
  for (const bool geometric : {true, false}) {
    for (const double rho : {0.3, 0.5, 0.7, 0.85}) {
      const double lambda = rho / (kMean * kStepS);
      // Geometric on 1, 2, ...: variance m (m - 1).
      const double second = geometric ? kMean * kMean + kMean * (kMean - 1) : kMean * kMean;
      const double wait = lambda * second * kStepS * kStepS / (2 * (1 - rho));
      const Estimate e = over_seeds([&](uint64_t seed) {
        SimSpec spec;
        spec.groups = {linear_group({.base_us = 1000}, "vllm1", 1)};
        spec.pipeline = kGenerate;
        poisson(spec, lambda, request_count(), "1", geometric ? "geometric(10)" : "10", seed);
        const SimResult r = must(spec);
        expect_little(r);
        return r.all.queue_ms.mean() / 1e3;
      });
      expect_agrees(e, wait, rho > 0.8 ? 0.02 : 0.01,
                    fmt::format("M/{}/1 at {}", geometric ? "G" : "D", rho));
    }
  }
}

double erlang_c(int c, double offered) {
  double term = 1, sum = 1;
  for (int k = 1; k < c; ++k) sum += term *= offered / k;
  term *= offered / c;
  const double waiting = term / (1 - offered / c);
  return waiting / (sum + waiting);
}

TEST(Queueing, MMcErlangC) {
  for (const auto& [servers, rho] : {std::pair(2, 0.7), {4, 0.8}, {16, 0.9}}) {
    const double mu = 100, lambda = servers * mu * rho;
    const double wait = erlang_c(servers, lambda / mu) / (servers * mu - lambda);
    const Estimate e = over_seeds([&](uint64_t seed) {
      SimSpec spec;
      spec.groups = {station(Role::kPreprocess, servers, "exponential(10)")};
      spec.pipeline = {{StageKind::kPreprocess}};
      poisson(spec, lambda, request_count(), "1", "1", seed);
      const SimResult r = must(spec);
      expect_little(r);
      return r.all.e2e_ms.mean() / 1e3;
    });
    expect_agrees(e, wait + 1 / mu, 0.02, fmt::format("M/M/{}", servers));
  }
}

TEST(Queueing, ProcessorSharingLink) {
  // KV transfers share a link: the mean stay of an M/G/1 processor-sharing queue is S / (1 - rho) for any size law.
  constexpr double kTokens = 1000, kBytes = 1000, kGbs = 1;
  const double service = kTokens * kBytes / (kGbs * 1e9), rho = 0.7;
  for (const std::string prompt : {"geometric(1000)", "1000"}) {
    const Estimate e = over_seeds([&](uint64_t seed) {
      SimSpec spec;
      spec.groups = {linear_group({.base_us = 0.001}, "vllm1", 4096, 1 << 20, 1 << 20),
                     linear_group({.base_us = 0.001}, "vllm1", 4096, 1 << 20, 1 << 20)};
      spec.groups[0].role = Role::kPrefill;
      spec.groups[1].role = Role::kDecode;
      spec.groups[1].name = "dec";
      spec.links = {{.name = "link", .from = 0, .to = 1, .gbs = kGbs}};
      spec.pipeline = kGenerate;
      poisson(spec, rho / service, request_count() / 2, prompt, "2", seed);
      const SimResult r = must(spec);
      expect_little(r);
      return r.all.stage_ms[5] / static_cast<double>(r.all.finished) / 1e3;
    });
    expect_agrees(e, service / (1 - rho), 0.02, "PS link, " + prompt);
  }
}

TEST(Queueing, ThreeStageJacksonNetwork) {
  // Each stage of a feed-forward Jackson network behaves as an independent M/M/c queue (Burke).
  const double lambda = 70, mu1 = 100, mu2 = 50, mu3 = 90;
  const double stage1 = 1 / (mu1 - lambda), stage3 = 1 / (mu3 - lambda);
  const double stage2 = erlang_c(2, lambda / mu2) / (2 * mu2 - lambda) + 1 / mu2;
  const Estimate e = over_seeds([&](uint64_t seed) {
    SimSpec spec;
    spec.groups = {station(Role::kPreprocess, 1, "exponential(10)"), station(Role::kRag, 2, "exponential(20)"),
                   station(Role::kPostprocess, 1, fmt::format("exponential({})", 1000 / mu3))};
    spec.pipeline = {{StageKind::kPreprocess}, {StageKind::kRag}, {StageKind::kPostprocess}};
    poisson(spec, lambda, request_count(), "1", "1", seed);
    const SimResult r = must(spec);
    expect_little(r);
    return r.all.e2e_ms.mean() / 1e3;
  });
  expect_agrees(e, stage1 + stage2 + stage3, 0.02, "Jackson network");
}

TEST(Queueing, AdmissionControlIsErlangB) {
  // max_requests = servers: the M/M/c/c loss system.
  const int c = 4;
  const double mu = 100, lambda = 300, a = lambda / mu;
  double b = 1;
  for (int k = 1; k <= c; ++k) b = a * b / (k + a * b);
  const Estimate e = over_seeds([&](uint64_t seed) {
    SimSpec spec;
    spec.groups = {station(Role::kPreprocess, c, "exponential(10)")};
    spec.pipeline = {{StageKind::kPreprocess}};
    spec.admission.max_live = c;
    poisson(spec, lambda, request_count(), "1", "1", seed);
    const SimResult r = must(spec);
    return static_cast<double>(r.rejected) / static_cast<double>(r.arrived);
  });
  expect_agrees(e, b, 0.02, "Erlang B");
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
