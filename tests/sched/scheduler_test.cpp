#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include "sched/fake_engine.h"

namespace callie::sched {
namespace {

std::vector<int32_t> random_tokens(SequentialRng& rng, int n) {
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng.next_below(50));
  return tokens;
}

TEST(Scheduler, PrefillInChunksBesideDecodes) {
  BlockPool pool({.n_blocks = 64, .block_size = 4});
  Scheduler scheduler({.token_budget = 8, .max_seqs = 4}, &pool);
  FakeEngine engine(pool);
  SequentialRng rng(1, Purpose::kTest);
  const auto a = random_tokens(rng, 3), b = random_tokens(rng, 20);
  ASSERT_TRUE(scheduler.submit({.id = 1, .prompt = a, .max_new = 10}, 0).ok());
  engine.step(scheduler, scheduler.plan(0), 0);
  ASSERT_TRUE(scheduler.submit({.id = 2, .prompt = b, .max_new = 4}, 1).ok());
  const StepPlan& plan = scheduler.plan(1);
  ASSERT_EQ(plan.rows.size(), 2u);
  EXPECT_EQ(plan.rows[0].kind, RowKind::kDecode);
  EXPECT_EQ(plan.rows[1].kind, RowKind::kPrefill);
  EXPECT_EQ(plan.rows[1].n_tokens, 7);
  EXPECT_FALSE(plan.rows[1].samples);
  EXPECT_EQ(plan.n_prefill, 7);
  EXPECT_EQ(plan.ctx_decode, 4);
  EXPECT_DOUBLE_EQ(plan.prefill_work, 7 * 3.5);
}

// Sixteen requests arrive together with a shared prefix of 1,000 tokens: it is computed once, and every other request
// computes at most one block and its suffix.
TEST(Scheduler, ASharedPrefixIsComputedOnce) {
  BlockPool pool({.n_blocks = 4096, .block_size = 16});
  Scheduler scheduler({.token_budget = 256, .max_seqs = 16}, &pool);
  FakeEngine engine(pool);
  SequentialRng rng(2, Purpose::kTest);
  const auto prefix = random_tokens(rng, 1000);
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 16; ++i) {
    prompts.push_back(prefix);
    const auto suffix = random_tokens(rng, 10 + i);
    prompts.back().insert(prompts.back().end(), suffix.begin(), suffix.end());
    ASSERT_TRUE(scheduler.submit({.id = static_cast<uint64_t>(i), .prompt = prompts.back(), .max_new = 1}, 0).ok());
  }
  for (double now = 0; !scheduler.idle(); ++now) engine.step(scheduler, scheduler.plan(now), now);
  int n_full = 0;
  for (int i = 0; i < 16; ++i) {
    const int64_t own = engine.computed_by_request[i];
    if (own >= 1000) {
      ++n_full;
    } else {
      EXPECT_LE(own, 16 + 10 + i);
    }
  }
  EXPECT_EQ(n_full, 1);
  EXPECT_EQ(pool.used(), 0);
}

TEST(Scheduler, RefusesWhatNeverFitsAndAFullQueue) {
  BlockPool pool({.n_blocks = 4, .block_size = 4});
  Scheduler scheduler({.queue_limit = 1}, &pool);
  const std::vector<int32_t> prompt(10, 1);
  EXPECT_EQ(scheduler.submit({.prompt = prompt, .max_new = 8}, 0).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(scheduler.submit({.prompt = prompt, .max_new = 7}, 0).ok());
  EXPECT_EQ(scheduler.submit({.prompt = prompt, .max_new = 1}, 0).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(scheduler.submit({.prompt = {}, .max_new = 1}, 0).status().code(), StatusCode::kInvalidArgument);
}

TEST(Scheduler, DeadlinesAndCancelsGiveEverythingBack) {
  BlockPool pool({.n_blocks = 32, .block_size = 4});
  Scheduler scheduler({.token_budget = 64, .max_seqs = 2}, &pool);
  FakeEngine engine(pool);
  const std::vector<int32_t> prompt(9, 3);
  const Handle a = *scheduler.submit({.id = 1, .prompt = prompt, .max_new = 50, .deadline_s = 5}, 0);
  const Handle b = *scheduler.submit({.id = 2, .prompt = prompt, .max_new = 50}, 0);
  const Handle c = *scheduler.submit({.id = 3, .prompt = prompt, .max_new = 50}, 0);
  engine.step(scheduler, scheduler.plan(0), 0);
  const StepPlan& plan = scheduler.plan(1);
  scheduler.cancel(b, FinishReason::kCancelled, 1);  // in flight or waiting: ends with the step at the latest
  engine.step(scheduler, plan, 1);
  EXPECT_FALSE(scheduler.alive(b));
  scheduler.cancel(c, FinishReason::kCancelled, 2);
  EXPECT_FALSE(scheduler.alive(c));
  EXPECT_TRUE(scheduler.plan(6).rows.empty());
  ASSERT_EQ(scheduler.finished().size(), 1u);
  EXPECT_EQ(scheduler.finished()[0], a);
  EXPECT_EQ(scheduler.sequence(a).finish_reason, FinishReason::kDeadline);
  EXPECT_TRUE(scheduler.idle());
  EXPECT_EQ(pool.used(), 0);
}

TEST(Scheduler, AForkSharesBlocksUntilItWrites) {
  BlockPool pool({.n_blocks = 64, .block_size = 4});
  Scheduler scheduler({}, &pool);
  FakeEngine engine(pool);
  SequentialRng rng(3, Purpose::kTest);
  const auto prompt = random_tokens(rng, 6);
  const Handle a = *scheduler.submit({.id = 1, .prompt = prompt, .max_new = 12}, 0);
  engine.step(scheduler, scheduler.plan(0), 0);
  const Handle b = *scheduler.fork(a, 2, 0);
  EXPECT_EQ(pool.used(), 2);
  const StepPlan& plan = scheduler.plan(1);
  EXPECT_EQ(plan.copies.size(), 1u);
  engine.step(scheduler, plan, 1);
  EXPECT_EQ(pool.used(), 3);
  ASSERT_TRUE(scheduler.truncate(a, 3).ok());
  const std::vector<int32_t> cut(prompt.begin(), prompt.begin() + 3);
  for (double now = 2; !scheduler.idle(); ++now) {
    engine.step(scheduler, scheduler.plan(now), now);
    for (Handle handle : scheduler.finished()) {
      const Sequence& s = scheduler.sequence(handle);
      const std::vector<int32_t> out(s.tokens.begin() + s.prompt_tokens, s.tokens.end());
      EXPECT_EQ(out, FakeEngine::alone(handle == b ? prompt : cut, 12));
    }
  }
  EXPECT_EQ(pool.used(), 0);
}

}  // namespace
}  // namespace callie::sched
