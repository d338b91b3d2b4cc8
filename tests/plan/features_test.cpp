// Each feature against a closed form or a timeline worked out by hand: energy, carbon, cost, autoscaling, failure and
// retry, KV tiers, shared links, retrieval, reasoning branches, speculative decoding, routers.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "plan/cost/retrieval.h"
#include "plan/spec_helpers.h"

namespace callie::plan {
namespace {

SimResult run(const SimSpec& spec) {
  auto result = simulate(spec);
  EXPECT_TRUE(result.ok()) << result.status().message();
  std::sort(result->requests.begin(), result->requests.end(),
            [](const RequestRow& a, const RequestRow& b) { return a.serial < b.serial; });
  return std::move(result).value();
}

TEST(Energy, AStationDrawsIdlePlusBusyPower) {
  // 100 requests of 10 ms, one every 50 ms: busy 1 s of 99 * 50 + 10 = 4960 ms.
  SimSpec spec;
  spec.groups = {station(Role::kPreprocess, 1, "10")};
  spec.groups[0].hardware.idle_w = 50;
  spec.groups[0].hardware.max_w = 250;
  spec.groups[0].hardware.usd_per_hour = 3.6;
  spec.groups[0].devices = 2;
  spec.pipeline = {{StageKind::kPreprocess}};
  std::vector<Given> requests;
  for (int i = 0; i < 100; ++i) requests.push_back({i * 50e3, 1, 1});
  given(spec, requests);
  spec.power.pue = 1.25;
  spec.power.grams_per_kwh = 400;
  const SimResult r = run(spec);
  EXPECT_NEAR(r.elapsed_s, 4.96, 1e-6);
  const double joules = 2 * (50 * 4.96 + 200 * 1.0) * 1.25;
  EXPECT_NEAR(r.energy_j, joules, 1e-4);
  EXPECT_NEAR(r.carbon_g, joules / 3.6e6 * 400, 1e-6);  // 1 kWh = 3.6 MJ
  EXPECT_NEAR(r.cost_usd, 2 * 4.96 * 3.6 / 3600, 1e-9);
}

TEST(Energy, DecodingDrawsPowerForTheBytesAndProductsOfItsSteps) {
  // Llama-3.1-8B has 8,030,261,248 parameters in all and 32 layers of 218,112,000 (attention 41,943,040 and MLP
  // 176,160,768, norms left out: 218,103,808); its KV is 131,072 bytes a token in bf16.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 10'000})};
  GroupSpec& g = spec.groups[0];
  g.model = *find_model("llama-3.1-8b");
  g.kv_bytes_per_token = 131'072;
  g.hardware.bf16_tflops = 1000;
  g.hardware.memory_gbs = 2000;
  g.hardware.idle_w = 100;
  g.hardware.max_w = 700;
  spec.pipeline = kGenerate;
  given(spec, {{0, 1000, 101}});
  const SimResult r = run(spec);
  ASSERT_EQ(r.steps_done, 101);
  // The prompt's 1000 tokens see 1000 * 1001 / 2 keys, decode k sees 1000 + k.
  const double context = 100 * 1000 + 100 * 101 / 2.0;
  const double pairs = 1000 * 1001 / 2.0 + context;
  const double flops = 2 * 32 * 218'103'808.0 * (1000 + 100) + 4 * 32 * 128 * 32 * pairs;  // 32 heads of 128, 32 layers
  const double bytes = 101 * 8'030'261'248.0 * 2 + context * 131'072;
  const double expected = 100 * 1.01 + 600 * (0.6 * flops / 1e15 + 0.3 * bytes / 2e12);
  EXPECT_NEAR(r.energy_j, expected, 2e-3 * expected);
}

TEST(Autoscale, FollowsItsTimeline) {
  // One sequence at a time, 12 steps of 1 s. Decisions every 10 s, a machine takes 5 s to start.
  // 0, 0.1, 0.2: A, B, C on the first machine. 10: two wait: start the second, ready at 15. A ends at 12, B at 24, C at 36.
  // 20: one waits for two machines: nothing. 21: D to the second, ends at 33. 30: two inside two: nothing.
  // 40: none inside: the second goes. 100: E on the first, ends at 112.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 1e6}, "vllm1", 1)};
  GroupSpec& g = spec.groups[0];
  g.count = 3;
  g.autoscale = {.on = true, .min = 1, .up_waiting = 1, .down_running = 1, .period = from_seconds(10), .delay = from_seconds(5)};
  g.hardware.usd_per_hour = 36;
  spec.pipeline = kGenerate;
  spec.routing.kind = RouterKind::kLeastRequests;
  spec.per_request = true;
  given(spec, {{0, 1, 12}, {0.1e6, 1, 12}, {0.2e6, 1, 12}, {21e6, 1, 12}, {100e6, 1, 12}});
  const SimResult r = run(spec);
  ASSERT_EQ(r.requests.size(), 5u);
  const double ends[] = {12, 24, 36, 33, 112};
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(to_seconds(r.requests[i].finished), ends[i], 1e-6) << i;
  EXPECT_NEAR(r.clients[0].active_s, 112, 1e-6);
  EXPECT_NEAR(r.clients[1].active_s, 25, 1e-6);
  EXPECT_NEAR(r.clients[2].active_s, 0, 1e-6);
  EXPECT_NEAR(r.cost_usd, (112 + 25) * 0.01, 1e-6);
}

TEST(Failure, ALostRequestStartsAgainElsewhere) {
  // 10 steps of 1 s; the machine fails at 4 s, the retry comes half a second later, the other machine takes it.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 1e6}, "vllm1", 1)};
  spec.groups[0].count = 2;
  spec.groups[0].failure.at_s = {4};
  spec.pipeline = kGenerate;
  spec.per_request = true;
  spec.retry.delay = from_ms(500);
  given(spec, {{0, 1, 10}});
  SimResult r = run(spec);
  ASSERT_EQ(r.requests.size(), 1u);
  EXPECT_EQ(r.requests[0].finished, from_seconds(14.5));
  EXPECT_EQ(r.retries, 1);
  // Without an attempt left it has failed, at that moment.
  spec.retry.attempts = 0;
  r = run(spec);
  EXPECT_EQ(r.failed, 1);
  EXPECT_EQ(r.requests[0].finished, from_seconds(4));
}

/// A job of w seconds that starts anew after each failure (rate 1/M, repair R in the mean) takes (e^(w/M) - 1) (M + R) in
/// the mean (preemptive repeat); on arrival the machine is down with probability R / (M + R), for R more.
TEST(Failure, RestartedWorkTakesWhatRenewalTheorySays) {
  constexpr double kWork = 1, kUp = 2, kRepair = 0.5, kDelay = 0.004;
  const double failures = std::exp(kWork / kUp) - 1, down = kRepair / (kUp + kRepair);
  // A retry finds the machine up half a delay late in the mean.
  const double expected = failures * (kUp + kRepair) + down * kRepair + (failures + down) * kDelay / 2;
  for (const bool language : {true, false}) {
    SimSpec spec;
    if (language) {
      spec.groups = {linear_group({.base_us = 1e6 * kWork / 4}, "vllm1", 1)};
      spec.pipeline = kGenerate;
    } else {
      spec.groups = {station(Role::kPreprocess, 1, fmt::format("{}", 1e3 * kWork))};
      spec.pipeline = {{StageKind::kPreprocess}};
    }
    spec.groups[0].failure.mtbf_s = kUp;
    spec.groups[0].failure.mttr_s = kRepair;
    spec.retry = {.attempts = 30'000, .delay = from_seconds(kDelay)};
    poisson(spec, 1, 20'000, "1", "4");
    spec.workload.arrivals.kind = ArrivalSpec::Kind::kFixed;
    spec.workload.arrivals.rate = 1.0 / 60;  // alone in the system, nearly always
    const SimResult r = run(spec);
    EXPECT_EQ(r.failed, 0);
    EXPECT_NEAR(r.all.e2e_ms.mean() / 1e3, expected, 0.03 * expected) << (language ? "engine" : "station");
  }
}

TEST(Tiers, AFetchTakesLatencyAndBytesOverBandwidth) {
  // 1600 tokens of 1000 bytes at 0.1 GB/s, all but the last block's: 1584 * 1000 / 1e8 s = 15.84 ms, and 2 ms latency. The
  // 16 tokens left cost 10 ms + 16 * 0.1 ms. Computing all would take 10 + 160 ms.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 10'000, .per_prefill_us = 100})};
  TierSpec tier;
  tier.name = "store";
  tier.capacity_gb = 1;
  tier.gbs = 0.1;
  tier.latency = from_ms(2);
  tier.hit_rate = 1;
  spec.tiers = {tier};
  spec.groups[0].tiers = {0};
  spec.pipeline = {{StageKind::kKv}, {StageKind::kPrefill}, {StageKind::kDecode}};
  given(spec, {{0, 1600, 1}});
  EXPECT_NEAR(run(spec).all.ttft_ms.mean(), 2 + 15.84 + 10 + 1.6, 1e-3);
  // Slower than kappa times the prefill rate (1000 bytes / 0.1 ms = 0.01 GB/s), it is computed.
  spec.tiers[0].gbs = 0.009;
  const SimResult computed = run(spec);
  EXPECT_NEAR(computed.all.ttft_ms.mean(), 10 + 160, 1e-3);
  EXPECT_EQ(computed.tiers[0].recomputed, 1);
}

TEST(Links, TwoTransfersShareUntilOneEnds) {
  // Prompts of 1000 and 3000 tokens of 1000 bytes leave prefill together at 1 ms; the link moves 1 GB/s. Shared: the
  // short one ends after 2 ms with 1 MB of the other moved; that one has 2 MB left: 2 ms more.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 1000}, "vllm1", 8, 8192), linear_group({.base_us = 1000}, "vllm1", 8, 8192)};
  spec.groups[0].role = Role::kPrefill;
  spec.groups[1].role = Role::kDecode;
  spec.groups[1].name = "dec";
  spec.links = {{.name = "link", .from = 0, .to = 1, .gbs = 1}};
  spec.pipeline = kGenerate;
  spec.per_request = true;
  given(spec, {{0, 1000, 2}, {0, 3000, 2}});
  const SimResult r = run(spec);
  ASSERT_EQ(r.requests.size(), 2u);
  // The short one arrives at 3 ms and decodes one step, the long one arrives at 5 ms.
  EXPECT_NEAR(to_ms(r.requests[0].finished), 1 + 2 + 1, 1e-3);
  EXPECT_NEAR(to_ms(r.requests[1].finished), 1 + 4 + 1, 1e-3);
}

TEST(Speculation, TokensPerStepAreTheGeometricSum) {
  // gamma = 4 drafts, each accepted with 0.7: (1 - 0.7^5) / (1 - 0.7) tokens a step.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 1000})};
  spec.groups[0].engine.draft_tokens = 4;
  spec.groups[0].engine.draft_acceptance = 0.7;
  spec.groups[0].draft_cost = make_linear_cost({.base_us = 50});
  spec.pipeline = kGenerate;
  given(spec, {{0, 1, 20'001}});
  const double per_step = (1 - std::pow(0.7, 5)) / 0.3;
  EXPECT_NEAR(run(spec).all.tpot_ms.mean(), (1 + 4 * 0.05) / per_step, 0.01 * 1.2 / per_step);
}

TEST(Reasoning, BranchesShareThePromptAndJoin) {
  // Four branches of 50 tokens after a prompt of 160: they decode together, one token a step each.
  SimSpec spec;
  spec.groups = {linear_group({.base_us = 1000, .per_decode_us = 100})};
  spec.pipeline = kGenerate;
  given(spec, {{0, 160, 50}});
  const double alone = run(spec).all.e2e_ms.mean();
  EXPECT_NEAR(alone, 1 + 49 * 1.1, 1e-6);
  spec.workload.reasoning = {.share = 1, .multiplier = Distribution::fixed(1), .paths = 4, .join = 0};
  const SimResult four = run(spec);
  EXPECT_NEAR(four.all.e2e_ms.mean(), 1 + 49 * 1.4, 1.5);  // branches start a step after the prompt
  // 10 blocks of the prompt once, and 50 tokens of each branch: 4 blocks.
  EXPECT_GE(four.clients[0].peak_blocks, 10 + 4 * 3);
  EXPECT_LE(four.clients[0].peak_blocks, 10 + 4 * 4);
}

TEST(Routers, TheBetterOfTwoShortensQueuesAsTheSupermarketModelSays) {
  // Many servers, load 0.9: the mean stay tends to sum_i rho^(2^i - 2) services (Mitzenmacher), against 1 / (1 - rho).
  constexpr double kRho = 0.9;
  constexpr int kServers = 500;
  double expected = 0;
  for (int i = 1; i < 12; ++i) expected += std::pow(kRho, std::pow(2, i) - 2);
  SimSpec spec;
  GroupSpec g = station(Role::kPreprocess, 1, "exponential(10)");
  g.count = kServers;
  spec.groups = {g};
  spec.pipeline = {{StageKind::kPreprocess}};
  spec.routing.kind = RouterKind::kPowerOfTwo;
  poisson(spec, kRho * kServers * 100, 600'000, "1", "1");
  spec.workload.warmup = 100'000;
  EXPECT_NEAR(run(spec).all.e2e_ms.mean() / 10, expected, 0.03 * expected);
}

TEST(Retrieval, AQueryCostsItsProductsAndItsCodes) {
  // 2 GFLOP/s: 2 * 1000 * 100 products of the lists' centres and 2 * 256 * 100 * 10 of the tables are 356 us; 10,000 codes of
  // 20 ns are 200 us, 1.5 times as many 300 us.
  Hardware machine;
  machine.bf16_tflops = 0.002;
  machine.compute_efficiency = 1;
  machine.memory_gbs = 1000;
  machine.memory_efficiency = 1;
  IndexOptions index;
  index.vectors = 1e6;
  index.dimension = 100;
  index.lists = 1000;
  index.probes = 10;
  index.ns_per_code = 20;
  EXPECT_NEAR(ivfpq_query_us(index, machine), 356 + 200, 1e-6);
  index.imbalance = 1.5;
  EXPECT_NEAR(ivfpq_query_us(index, machine), 356 + 300, 1e-6);
  index.imbalance = 1000;  // no more than all of them
  EXPECT_NEAR(ivfpq_query_us(index, machine), 356 + 20e3, 1e-6);
}

TEST(Retrieval, ACallCostsItsFixedTimeAndALoneQueryMore) {
  // Three queries at once, the first taken alone by an idle server: 1 + 0.5 + 2 ms; then two together: 1 + 2 * 2 ms.
  SimSpec spec;
  spec.groups = {station(Role::kRag, 1, "0")};
  spec.groups[0].station.max_batch = 8;
  spec.groups[0].station.service.batch_ms = 1;
  spec.groups[0].station.service.single_ms = 0.5;
  spec.groups[0].station.service.per_query_ms = 2;
  spec.pipeline = {{StageKind::kRag}};
  spec.per_request = true;
  given(spec, {{0, 1, 1}, {100, 1, 1}, {200, 1, 1}});
  const SimResult r = run(spec);
  ASSERT_EQ(r.requests.size(), 3u);
  EXPECT_EQ(r.requests[0].finished, from_ms(3.5));
  EXPECT_EQ(r.requests[1].finished, from_ms(8.5));
  EXPECT_EQ(r.requests[2].finished, from_ms(8.5));
}

}  // namespace
}  // namespace callie::plan
