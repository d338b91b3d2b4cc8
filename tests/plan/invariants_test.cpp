// Conservation laws over random configurations: a few hundred by default, ten thousand with CALLIE_FULL=1.

#include <gtest/gtest.h>

#include <map>

#include "core/philox.h"
#include "plan/engine/engine.h"
#include "plan/spec_helpers.h"

namespace callie::plan {
namespace {

struct Case {
  SimSpec spec;
  std::string text;
};

Case random_case(uint64_t seed) {
  SequentialRng rng(seed, Purpose::kTest, 9);
  const auto pick = [&](int low, int high) { return low + static_cast<int>(rng.next_below(high - low + 1)); };
  Case c;
  const std::vector<std::string> policies = policy_names();
  const std::string policy = policies[rng.next_below(policies.size())];
  LinearOptions cost{.base_us = 50.0 * pick(1, 40), .per_prefill_us = double(pick(0, 20)),
                     .per_decode_us = double(pick(0, 50)), .per_context_us = 0.01 * pick(0, 20)};
  const int block = 1 << pick(0, 6);
  GroupSpec g = linear_group(cost, policy, pick(1, 40), pick(1, 400), pick(40, 600), block);
  g.count = pick(1, 3);
  g.engine.prefix_cache = pick(0, 1);
  g.engine.async = policy == "vllm1" && pick(0, 3) == 0;
  g.engine.swap = policy == "vllm1" && pick(0, 3) == 0;
  g.engine.reserve_prompt = pick(0, 1);
  g.engine.order = static_cast<EngineOptions::Order>(policy == "callie" ? 0 : pick(0, 4));
  g.engine.max_chunk = pick(0, 2) == 0 ? pick(1, 100) : 0;
  g.host.per_step = from_us(pick(0, 300));
  g.host.per_request = from_us(pick(0, 300));
  const bool split = policy != "callie" && policy != "static" && pick(0, 3) == 0;
  c.spec.pipeline = kGenerate;
  if (pick(0, 4) == 0) {
    c.spec.groups.push_back(station(Role::kPreprocess, pick(1, 3), "exponential(2)"));
    c.spec.pipeline.insert(c.spec.pipeline.begin(), {StageKind::kPreprocess, 0.5});
  }
  const int first = static_cast<int>(c.spec.groups.size());
  if (split) {
    g.role = Role::kPrefill;
    GroupSpec d = g;
    d.role = Role::kDecode;
    d.name = "dec";
    d.count = pick(1, 3);
    c.spec.groups.push_back(g);
    c.spec.groups.push_back(d);
    c.spec.links.push_back({.name = "l", .from = first, .to = first + 1, .gbs = 0.001 * pick(1, 1000),
                            .latency = from_us(pick(0, 50)), .overlap = pick(0, 1) == 1});
  } else {
    if (pick(0, 4) == 0) g.failure.at_s = {0.05, 0.3};
    g.failure.mttr_s = 0.05;
    c.spec.groups.push_back(g);
    if (policy != "callie" && policy != "static" && pick(0, 4) == 0) {
      c.spec.workload.reasoning = {0.3, *Distribution::parse("uniform(1, 3)"), pick(1, 4), pick(0, 2)};
    }
  }
  c.spec.routing.kind = static_cast<RouterKind>(pick(0, 6));
  c.spec.routing.snapshot = pick(0, 2) == 0 ? from_ms(pick(1, 20)) : 0;
  poisson(c.spec, pick(20, 900), 150, pick(0, 1) ? "geometric(60)" : "uniform(1, 300)", "geometric(12)", seed);
  c.spec.workload.classes[0].shared_prefix = pick(0, 1) ? 4 * block : 0;
  c.spec.per_request = true;
  c.text = fmt::format("seed {}: policy {}, blocks {} x {}, split {}, async {}, swap {}", seed, policy,
                       g.engine.blocks, block, split, g.engine.async, g.engine.swap);
  return c;
}

std::string bytes_of(const SimResult& r) {
  std::string out;
  for (const RequestRow& q : r.requests) {
    out += fmt::format("{} {} {} {} {} {} {} {}\n", q.serial, q.client, q.arrival, q.scheduled, q.first_token, q.finished,
                       q.cached, q.outcome);
  }
  return out;
}

TEST(Invariants, RandomConfigurations) {
  const uint64_t cases = full_tests() ? 10'000 : 400;
  const char* only = std::getenv("CALLIE_PLAN_CASE");  // one case again
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  for (uint64_t seed = first; seed <= (only ? first : cases); ++seed) {
    const Case c = random_case(seed);
    SCOPED_TRACE(c.text);
    auto result = simulate(c.spec);
    ASSERT_TRUE(result.ok()) << result.status().message();
    const SimResult& r = *result;
    // Requests are conserved, none is stuck, and each leaves once.
    ASSERT_EQ(r.arrived, 150);
    ASSERT_EQ(r.finished + r.rejected + r.failed, r.arrived);
    ASSERT_EQ(r.unfinished, 0);
    ASSERT_EQ(r.requests.size(), 150u);
    std::map<uint64_t, int> seen;
    int64_t output = 0, preempted = 0;
    for (const RequestRow& q : r.requests) {
      ++seen[q.serial];
      if (q.outcome != 0) continue;
      output += q.output;
      ASSERT_GE(q.scheduled, q.arrival);
      ASSERT_GE(q.first_token, q.scheduled);
      ASSERT_GE(q.finished, q.first_token);
    }
    ASSERT_EQ(seen.size(), 150u);
    for (const ClientResult& k : r.clients) {
      preempted += k.preemptions;
      const GroupSpec& group = c.spec.groups[k.group];
      ASSERT_LE(k.busy_s, k.active_s * (group.cost ? 1 : group.station.servers) + 1e-9);
      ASSERT_LE(k.peak_blocks, k.blocks);
    }
    // Tokens are conserved: what is finished was computed, and more only after preemption, failure or in padding.
    if (r.retries == 0 && c.spec.workload.reasoning.share == 0) {
      int64_t decoded = 0;
      for (const ClientResult& k : r.clients) decoded += k.decode_tokens;
      const std::string& policy = c.spec.groups.back().engine.policy;
      if (preempted == 0 && policy != "static" && r.rejected == 0) {
        ASSERT_EQ(decoded, output - r.finished);
      } else if (r.rejected == 0) {
        ASSERT_GE(decoded + preempted, output - r.finished);
      }
    }
    // Merged steps give the same bytes as single ones.
    SimSpec stepping = c.spec;
    stepping.fast_forward = false;
    auto single = simulate(stepping);
    ASSERT_TRUE(single.ok());
    ASSERT_TRUE(bytes_of(r) == bytes_of(*single));
    ASSERT_EQ(r.steps_done, single->steps_done);
    stepping.plan_each_step = true;
    auto planned = simulate(stepping);
    ASSERT_TRUE(planned.ok());
    ASSERT_TRUE(bytes_of(r) == bytes_of(*planned));
    ASSERT_EQ(r.steps_done, planned->steps_done);
    for (size_t k = 0; k < r.clients.size(); ++k) ASSERT_EQ(r.clients[k].peak_blocks, planned->clients[k].peak_blocks);
  }
}

TEST(Invariants, UnservableRequestsAreRejectedNotWaitedFor) {
  for (const std::string& policy : policy_names()) {
    SimSpec spec;
    spec.groups = {linear_group({.base_us = 100}, policy, 8, 64, 10, 16)};
    spec.pipeline = kGenerate;
    given(spec, {{0, 100, 10}, {1, 160, 3}, {2, 10, 5}, {3, 1000, 1}});
    auto r = simulate(spec);
    ASSERT_TRUE(r.ok());
    EXPECT_EQ(r->rejected, 2) << policy;
    EXPECT_EQ(r->finished, 2) << policy;
  }
}

TEST(Invariants, InstantTierEqualsEndlessHbm) {
  // A tier that is as fast as nothing and as large as needed makes up for a small prefix cache.
  const auto run = [](int blocks, bool tier) {
    SimSpec spec;
    spec.groups = {linear_group({.base_us = 100, .per_prefill_us = 10, .per_decode_us = 1}, "vllm1", 1, 4096, blocks, 16)};
    spec.pipeline = kGenerate;
    if (tier) {
      TierSpec t;
      t.name = "dram";
      t.capacity_gb = 0.1;
      t.gbs = 1e9;
      spec.tiers = {t};
      spec.groups[0].tiers = {0};
      spec.pipeline.insert(spec.pipeline.begin(), {StageKind::kKv});
    }
    poisson(spec, 10, 500, "16", "20", 3);
    spec.workload.classes.clear();
    for (int k = 0; k < 20; ++k) {
      ClassSpec c;
      c.name = fmt::format("c{}", k);
      c.prompt = Distribution::fixed(16);
      c.output = Distribution::fixed(20);
      c.shared_prefix = 320;
      spec.workload.classes.push_back(c);
    }
    auto r = simulate(spec);
    EXPECT_TRUE(r.ok());
    return std::pair(r->all.ttft_ms.mean(), r->all.cached_tokens);
  };
  const auto endless = run(100'000, false), small = run(60, false), tiered = run(60, true);
  EXPECT_GT(small.first, 1.2 * endless.first);
  EXPECT_NEAR(tiered.first, endless.first, 0.03 * endless.first);
}

TEST(Invariants, InfiniteLinkMakesDisaggregationATandemQueue) {
  // Prefill and decode machines without a limit in between: the prefill side behaves as if decode did not exist.
  const auto run = [](bool split) {
    SimSpec spec;
    spec.groups = {linear_group({.base_us = 1000, .per_prefill_us = 5}, "vllm1", 1, 1 << 20)};
    if (split) {
      spec.groups[0].role = Role::kPrefill;
      GroupSpec d = linear_group({.base_us = 10}, "vllm1", 4096, 1 << 20);
      d.name = "dec";
      d.role = Role::kDecode;
      spec.groups.push_back(d);
      spec.links = {{.name = "l", .from = 0, .to = 1, .gbs = 1e9}};
    }
    spec.pipeline = kGenerate;
    poisson(spec, 300, 2000, "geometric(200)", split ? "5" : "1", 4);
    auto r = simulate(spec);
    EXPECT_TRUE(r.ok());
    return r->all.ttft_ms.mean();
  };
  EXPECT_NEAR(run(true), run(false), 1e-3 * run(false));
}

TEST(Invariants, StepCostGrowsWithTokensAndContext) {
  const auto model = find_model("llama-3.1-8b");
  const auto hardware = find_hardware("h100_sxm");
  const auto cost = make_roofline_cost(*model, *hardware, {.tp = 2}, {});
  Ns last = 0;
  for (int n = 1; n < 3000; n += 7) {
    BatchView b;
    b.add_prefill(n, 100);
    EXPECT_GE(cost->step_ns(b), last);
    last = cost->step_ns(b);
  }
  last = 0;
  for (int c = 1; c < 100000; c += 999) {
    BatchView b;
    b.add_decode(1, c);
    EXPECT_GE(cost->step_ns(b), last);
    last = cost->step_ns(b);
  }
}

}  // namespace
}  // namespace callie::plan
