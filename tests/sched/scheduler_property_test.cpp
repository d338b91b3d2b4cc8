// Random schedules: outputs equal those of a request alone, blocks are conserved, runs repeat, and nobody starves.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "sched/fake_engine.h"

namespace callie::sched {
namespace {

struct Case {
  std::vector<int32_t> prompt;
  int32_t max_new = 0;
  Handle handle;
  bool cancelled = false;
  std::vector<int32_t> output;
};

struct Outcome {
  std::vector<uint64_t> trace;  // everything that the plans said
  int64_t preemptions = 0, accepted = 0, cached = 0;
};

void check_blocks(const Scheduler& scheduler, const BlockPool& pool) {
  std::map<BlockId, int32_t> references;
  for (int32_t slot : scheduler.running()) {
    const Sequence& s = scheduler.sequence({slot, 0});
    ASSERT_GE(static_cast<int32_t>(s.blocks.size()), pool.blocks_for(s.computed_tokens));
    for (BlockId id : s.blocks) ++references[id];
  }
  ASSERT_EQ(static_cast<int32_t>(references.size()), pool.used());
  for (const auto& [id, n] : references) ASSERT_EQ(pool.references(id), n);
}

void propose(Scheduler& scheduler, SequentialRng& rng) {
  for (int32_t slot : scheduler.running()) {
    const Sequence& s = scheduler.sequence({slot, 0});
    if (s.output_tokens() == 0 || rng.next_below(2) == 0) continue;
    uint64_t hash = 0;
    for (int32_t token : s.tokens) hash = FakeEngine::extend(hash, token);
    std::vector<int32_t> draft;
    for (int k = 0; k < 5; ++k) {
      draft.push_back(rng.next_below(5) == 0 ? 7 : FakeEngine::next_token(hash));
      hash = FakeEngine::extend(hash, draft.back());
    }
    scheduler.set_draft({slot, s.generation}, draft);
  }
}

Outcome run(uint64_t seed, bool prefix_cache) {
  SequentialRng rng(seed, Purpose::kTest);
  const auto block_size = static_cast<int32_t>(1 + rng.next_below(6));
  const int32_t n_blocks = 80 / block_size + static_cast<int32_t>(rng.next_below(40));
  BlockPool pool({.n_blocks = n_blocks, .block_size = block_size, .prefix_cache = prefix_cache});
  Scheduler scheduler({.token_budget = static_cast<int32_t>(4 + rng.next_below(40)),
                       .max_seqs = static_cast<int32_t>(2 + rng.next_below(10)),
                       .max_chunk = static_cast<int32_t>(rng.next_below(2) * 5),
                       .watermark = static_cast<int32_t>(rng.next_below(3))},
                      &pool);
  FakeEngine engine(pool);
  std::map<uint64_t, Case> cases;
  std::vector<int32_t> shared(30);
  for (int32_t& token : shared) token = static_cast<int32_t>(rng.next_below(50));
  Outcome outcome;
  uint64_t next_id = 0;
  int n_finished = 0;
  for (double now = 0; now < 3000; ++now) {
    while (next_id < 40 && rng.next_below(3) == 0) {
      Case one;
      one.prompt.assign(shared.begin(), shared.begin() + rng.next_below(30));
      for (int i = 0; i < 4; ++i) one.prompt.push_back(static_cast<int32_t>(rng.next_below(50)));
      one.max_new = static_cast<int32_t>(1 + rng.next_below(40));
      auto handle = scheduler.submit({.id = next_id, .prompt = one.prompt, .max_new = one.max_new,
                                      .priority = static_cast<int32_t>(rng.next_below(3)), .arrival_s = now,
                                      .hold_after_step = rng.next_below(3) == 0},
                                     now);
      EXPECT_TRUE(handle.ok()) << handle.status().message();
      one.handle = *handle;
      cases[next_id++] = one;
    }
    propose(scheduler, rng);
    for (const auto& [id, one] : cases) {
      if (rng.next_below(2) == 0) scheduler.resume(one.handle);
    }
    const StepPlan& plan = scheduler.plan(now);
    EXPECT_LE(plan.n_tokens, scheduler.options().token_budget);
    EXPECT_LE(scheduler.n_running(), scheduler.options().max_seqs);
    for (const Row& row : plan.rows) {
      EXPECT_FALSE(scheduler.sequence(row.handle).held);
      outcome.trace.push_back(scheduler.sequence(row.handle).request_id * 1000003 + row.start * 1009 + row.n_tokens);
    }
    if (next_id > 0 && rng.next_below(20) == 0) {
      Case& victim = cases[rng.next_below(next_id)];
      victim.cancelled |= scheduler.alive(victim.handle);
      scheduler.cancel(victim.handle, FinishReason::kCancelled, now);
    }
    if (!plan.rows.empty()) engine.step(scheduler, plan, now, 11);
    check_blocks(scheduler, pool);
    for (Handle handle : scheduler.finished()) {
      const Sequence& s = scheduler.sequence(handle);
      Case& one = cases[s.request_id];
      one.output.assign(s.tokens.begin() + s.prompt_tokens, s.tokens.end());
      ++n_finished;
      if (!one.cancelled) {
        EXPECT_EQ(one.output, FakeEngine::alone(one.prompt, one.max_new, 11));
      }
    }
    if (n_finished == 40) break;
  }
  EXPECT_EQ(n_finished, 40);
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(pool.used(), 0);
  outcome.preemptions = scheduler.stats().preemptions;
  outcome.accepted = scheduler.stats().accepted;
  outcome.cached = scheduler.stats().cached_tokens;
  return outcome;
}

TEST(SchedulerProperty, RandomSchedulesGiveTheOutputsOfRequestsAlone) {
  int64_t preemptions = 0, accepted = 0, cached = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Outcome outcome = run(seed, seed % 3 != 0);
    preemptions += outcome.preemptions;
    accepted += outcome.accepted;
    cached += outcome.cached;
    if (seed < 20) {
      EXPECT_EQ(run(seed, seed % 3 != 0).trace, outcome.trace);
    }
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  // The generator does reach what the test is about.
  EXPECT_GT(preemptions, 100);
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(cached, 1000);
}

// A low-priority request among an endless stream of high-priority ones is overtaken only by those that arrive within
// (difference of priorities) * aging_s after it.
TEST(SchedulerProperty, StarvationIsBounded) {
  BlockPool pool({.n_blocks = 64, .block_size = 4});
  Scheduler scheduler({.token_budget = 16, .max_seqs = 1, .aging_s = 10}, &pool);
  FakeEngine engine(pool);
  const std::vector<int32_t> prompt(4, 1);
  std::vector<uint64_t> order;
  uint64_t id = 1;
  for (double now = 0; now < 100; ++now) {
    if (now == 5) {
      ASSERT_TRUE(scheduler.submit({.id = 0, .prompt = prompt, .max_new = 2, .arrival_s = now}, now).ok());
    }
    ASSERT_TRUE(
        scheduler.submit({.id = id++, .prompt = prompt, .max_new = 2, .priority = 3, .arrival_s = now}, now).ok());
    const StepPlan& plan = scheduler.plan(now);
    if (!plan.rows.empty()) engine.step(scheduler, plan, now);
    for (Handle handle : scheduler.finished()) order.push_back(scheduler.sequence(handle).request_id);
  }
  // Request k (from 1) arrived at k - 1; those up to 5 + 3 * 10 go first.
  const auto at = std::find(order.begin(), order.end(), 0u);
  ASSERT_NE(at, order.end());
  EXPECT_EQ(*(at - 1), 35u);
}

// Requests without tokens, as the planner submits them: repeated steps leave the state that single ones leave.
TEST(SchedulerProperty, RepeatedStepsEqualSingleOnes) {
  struct Side {
    BlockPool pool;
    Scheduler scheduler;
    explicit Side(const SchedulerOptions& options, int32_t blocks)
        : pool({.n_blocks = blocks, .block_size = 4, .prefix_cache = true, .verify_tokens = false}),
          scheduler(options, &pool) {}
    void commit(double now) {
      const StepPlan& plan = scheduler.plan_in_flight();
      std::vector<RowResult> results(plan.rows.size());
      for (size_t i = 0; i < results.size(); ++i) results[i].n_new = plan.rows[i].samples ? 1 : 0;
      scheduler.commit(results, now);
    }
  };
  int64_t repeated = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    SequentialRng rng(seed, Purpose::kTest, 4);
    const SchedulerOptions options{.token_budget = static_cast<int32_t>(8 + rng.next_below(40)),
                                   .max_seqs = static_cast<int32_t>(1 + rng.next_below(8))};
    const auto blocks = static_cast<int32_t>(30 + rng.next_below(60));
    Side single(options, blocks), merged(options, blocks);
    const std::vector<BlockHash> shared = {11, 12, 13, 14, 15};
    uint64_t id = 0;
    double now = 0;
    for (int round = 0; round < 400; ++round, ++now) {
      if (id < 30 && rng.next_below(4) == 0) {
        const Request request{.id = id++, .prompt_tokens = static_cast<int32_t>(1 + rng.next_below(40)),
                              .block_hashes = std::span(shared).first(rng.next_below(6)),
                              .max_new = static_cast<int32_t>(1 + rng.next_below(60)), .arrival_s = now};
        Request cut = request;
        cut.block_hashes = request.block_hashes.first(std::min<size_t>(request.block_hashes.size(), request.prompt_tokens / 4));
        ASSERT_EQ(single.scheduler.submit(cut, now).ok(), merged.scheduler.submit(cut, now).ok());
      }
      single.scheduler.plan(now);
      merged.scheduler.plan(now);
      if (single.scheduler.plan_in_flight().rows.empty()) continue;
      const int64_t most = merged.scheduler.repeatable_steps();
      if (most > 0) {
        const auto n = static_cast<int64_t>(1 + rng.next_below(static_cast<uint64_t>(most)));
        merged.scheduler.repeat_steps(n);
        for (int64_t i = 0; i < n; ++i) {
          single.commit(now);
          single.scheduler.plan(now);
          ASSERT_TRUE(single.scheduler.plan_in_flight().preempted.empty());
          ASSERT_TRUE(single.scheduler.plan_in_flight().admitted.empty());
        }
        repeated += n;
      }
      const StepPlan& a = single.scheduler.plan_in_flight();
      const StepPlan& b = merged.scheduler.plan_in_flight();
      ASSERT_EQ(a.rows.size(), b.rows.size());
      ASSERT_EQ(a.ctx_decode, b.ctx_decode);
      for (size_t i = 0; i < a.rows.size(); ++i) {
        ASSERT_EQ(a.rows[i].start, b.rows[i].start);
        const Sequence& s = single.scheduler.sequence(a.rows[i].handle);
        const Sequence& m = merged.scheduler.sequence(b.rows[i].handle);
        ASSERT_EQ(s.request_id, m.request_id);
        ASSERT_EQ(s.known_tokens, m.known_tokens);
        ASSERT_EQ(s.blocks.size(), m.blocks.size());
      }
      ASSERT_EQ(single.pool.used(), merged.pool.used());
      ASSERT_EQ(single.pool.cached(), merged.pool.cached());
      single.commit(now);
      merged.commit(now);
    }
  }
  EXPECT_GT(repeated, 10'000);
}

}  // namespace
}  // namespace callie::sched
