// Timelines worked out by hand, to the nanosecond. The step takes 1000 us + 10 us per prompt token + 100 us per decoding
// sequence; host time is zero. A request's first token leaves at the end of the step that completes its prompt.

#include <gtest/gtest.h>

#include <algorithm>

#include "plan/spec_helpers.h"

namespace callie::plan {
namespace {

constexpr LinearOptions kCost{.base_us = 1000, .per_prefill_us = 10, .per_decode_us = 100};

struct Expected {
  double scheduled_us, first_us, last_us;
};

std::vector<RequestRow> run(const std::vector<Given>& requests, GroupSpec group) {
  SimSpec spec;
  spec.groups = {std::move(group)};
  spec.pipeline = kGenerate;
  spec.per_request = true;
  given(spec, requests);
  auto result = simulate(spec);
  EXPECT_TRUE(result.ok()) << result.status().message();
  std::sort(result->requests.begin(), result->requests.end(),
            [](const RequestRow& a, const RequestRow& b) { return a.serial < b.serial; });
  return result->requests;
}

void expect_timeline(const std::vector<RequestRow>& rows, const std::vector<Expected>& expected) {
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].outcome, 0);
    EXPECT_EQ(rows[i].scheduled, from_us(expected[i].scheduled_us)) << "request " << i;
    EXPECT_EQ(rows[i].first_token, from_us(expected[i].first_us)) << "request " << i;
    EXPECT_EQ(rows[i].finished, from_us(expected[i].last_us)) << "request " << i;
  }
}

TEST(GoldenTimeline, OrcaJoinsWithWholePrompts) {
  // 0: A(100 tokens, 3 out), B(50, 2); 2200: C(30, 2).
  // [0, 2500]     A and B prefill: 1000 + 1500.
  // [2500, 4000]  A, B decode, C prefill 30: 1000 + 300 + 200. B ends with its 2nd token.
  // [4000, 5200]  A, C decode: 1000 + 200. Both end.
  expect_timeline(run({{0, 100, 3}, {0, 50, 2}, {2200, 30, 2}}, linear_group(kCost, "orca")),
                  {{0, 2500, 5200}, {0, 2500, 4000}, {2500, 4000, 5200}});
}

TEST(GoldenTimeline, Vllm0PromptsStallDecodes) {
  // 0: A(100, 3); 500: B(50, 2).
  // [0, 2000]     A prefill.
  // [2000, 3500]  B prefill only: 1000 + 500; A waits.
  // [3500, 4700]  A, B decode: B ends.
  // [4700, 5800]  A decodes: ends.
  expect_timeline(run({{0, 100, 3}, {500, 50, 2}}, linear_group(kCost, "vllm0")),
                  {{0, 2000, 5800}, {2000, 3500, 4700}});
}

TEST(GoldenTimeline, Vllm0BudgetIsCountTimesLongest) {
  // Budget 200: A(90) and B(110) together count 2 x 110 = 220 > 200, so B waits a step; C(50) joins B: 2 x 110 again no.
  // [0, 1900] A; [1900, 4000] B; [4000, 5500] C; all have one output token.
  expect_timeline(run({{0, 90, 1}, {0, 110, 1}, {0, 50, 1}}, linear_group(kCost, "vllm0", 256, 200)),
                  {{0, 1900, 1900}, {1900, 4000, 4000}, {4000, 5500, 5500}});
}

TEST(GoldenTimeline, SarathiChunksBesideDecodes) {
  // Budget 64. 0: A(40, 4), B(100, 2).
  // [0, 1640]     A 40 (complete), B 24.
  // [1640, 3370]  A decodes (1), B 63: 1000 + 630 + 100.
  // [3370, 4600]  A decodes, B 13 (complete): 1000 + 130 + 100.
  // [4600, 5800]  A, B decode: both end (A has 4, B has 2).
  expect_timeline(run({{0, 40, 4}, {0, 100, 2}}, linear_group(kCost, "sarathi", 256, 64)),
                  {{0, 1640, 5800}, {0, 4600, 5800}});
}

TEST(GoldenTimeline, StaticPadsAndNobodyJoins) {
  // Batch of 2, timeout 10 ms. 0: A(100, 2), B(60, 4); 100: C(10, 1).
  // [0, 3000]        A, B padded to 100: 1000 + 2000.
  // [3000, 4200] ... three decode steps of two rows each: 1200. A ends at 4200, B at 6600.
  // C arrives at 100, is alone: starts at its timeout, 100 + 10000; [10100, 11200].
  GroupSpec group = linear_group(kCost, "static", 2);
  group.engine.batch_timeout = from_ms(10);
  expect_timeline(run({{0, 100, 2}, {0, 60, 4}, {100, 10, 1}}, group),
                  {{0, 3000, 4200}, {0, 3000, 6600}, {10100, 11200, 11200}});
}

TEST(GoldenTimeline, Vllm1ServesRunningInOrderThenAdmits) {
  // Budget 64. 0: A(100, 2); 100: B(30, 2).
  // [0, 1640]     A 64.
  // [1640, 3280]  A 36 (complete), B 28.
  // [3280, 4400]  A decodes, B 2 (complete): 1000 + 20 + 100. A ends.
  // [4400, 5500]  B decodes: 1100. Ends.
  expect_timeline(run({{0, 100, 2}, {100, 30, 2}}, linear_group(kCost, "vllm1", 256, 64)),
                  {{0, 3280, 4400}, {1640, 4400, 5500}});
}

TEST(GoldenTimeline, Vllm1PreemptsTheTailAndFindsItsBlocksAgain) {
  // Blocks of 10, five of them; A(20, 12), B(20, 3). Host and cost as above.
  // [0, 1400]     both prompts: 4 blocks used.
  // [1400, 2600]  A takes the fifth block for its 21st token; B finds none: B is the tail and is preempted. Only A
  //               decodes: 1000 + 100 -> ends 2500. B's two full blocks stay findable.
  // [2500, 3600]  A decodes its 3rd token. B was preempted, nobody preempts now: B needs 3 blocks: its own 2 are cached
  //               (one of them must be recomputed: at most known - 1 = 20 tokens are taken, so both count), 1 more is
  //               not there. It waits until A ends. A needs 32 tokens = 4 blocks: at its 31st token it takes a cached one.
  GroupSpec group = linear_group(kCost, "vllm1", 256, 64, 5, 10);
  const auto rows = run({{0, 20, 12}, {0, 20, 3}}, group);
  // A: first token at 1400, then 11 decode steps of 1100 alone.
  EXPECT_EQ(rows[0].first_token, from_us(1400));
  EXPECT_EQ(rows[0].finished, from_us(1400 + 11 * 1100));
  // B resumes then. A's 31st token took the block released first, which is B's last one (blocks are released from the
  // tail): 10 of its 21 known tokens are found, 11 are computed again: 1000 + 110, which gives its second token.
  EXPECT_EQ(rows[1].first_token, from_us(1400));
  EXPECT_EQ(rows[1].finished, from_us(1400 + 11 * 1100 + 1110 + 1100));
}

TEST(GoldenTimeline, AsyncPlansOneStepAhead) {
  // 0: A(10, 5). Steps: [0, 1100] prompt, then decodes of 1100. B(10, 1) arrives at 500: the step after the first is
  // planned already, so B runs in the third: [2200, 3400] with A's decode: 1000 + 100 + 100.
  GroupSpec group = linear_group(kCost);
  group.engine.async = true;
  const auto rows = run({{0, 10, 5}, {500, 10, 1}}, group);
  EXPECT_EQ(rows[0].first_token, from_us(1100));
  EXPECT_EQ(rows[1].queued, from_us(1100));  // taken from the queue when the first step ended
  EXPECT_EQ(rows[1].first_token, from_us(3400));
  EXPECT_EQ(rows[0].finished, from_us(1100 + 1100 + 1200 + 1100 + 1100));
}

TEST(GoldenTimeline, CallieRunsTheProjectsScheduler) {
  // Decodes first, then prompts in chunks within the budget of 64, as sarathi above.
  expect_timeline(run({{0, 40, 4}, {0, 100, 2}}, linear_group(kCost, "callie", 256, 64)),
                  {{0, 1640, 5800}, {0, 4600, 5800}});
}

}  // namespace
}  // namespace callie::plan
