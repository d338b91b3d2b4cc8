// Many sequences drafted for together get what they would get alone.

#include "decode/speculative/executor_drafts.h"

#include <gtest/gtest.h>

#include <map>

#include "core/philox.h"
#include "decode/speculative/draft_model.h"
#include "decode/strategy.h"
#include "engine/model_fixture.h"

namespace callie::decode {
namespace {

struct Answer {
  std::vector<int32_t> tokens;
  uint64_t hash = 0;
  sched::FinishReason reason = sched::FinishReason::kNone;
};

class Collector : public ExecutorListener {
 public:
  sched::FinishReason on_token(const ChosenToken& token) override {
    answers[token.request_id].tokens.push_back(token.token);
    hashes_[token.request_id].add(token.logits);
    return token.token == end_token ? sched::FinishReason::kStop : sched::FinishReason::kNone;
  }
  void on_finish(sched::Handle, const sched::Sequence& sequence) override {
    answers[sequence.request_id].hash = hashes_[sequence.request_id].digest();
    answers[sequence.request_id].reason = sequence.finish_reason;
  }
  std::map<uint64_t, Answer> answers;
  int32_t end_token = -1;

 private:
  std::map<uint64_t, LogitsHash> hashes_;
};

struct Job {
  std::vector<int32_t> prompt;
  SamplingOptions sampling;
  int32_t max_new = 0;
  int step = 0;  // when it is submitted
};

std::vector<Job> random_jobs(uint64_t seed, int n) {
  SequentialRng rng(seed, Purpose::kTest);
  const auto below = [&](uint32_t limit) { return static_cast<int32_t>(rng.next_u32() % limit); };
  std::vector<Job> jobs;
  for (int i = 0; i < n; ++i) {
    Job& job = jobs.emplace_back();
    for (int k = 2 + below(40); k > 0; --k) job.prompt.push_back(below(3) ? 40 + below(4) : below(256));
    job.sampling.temperature = below(2) ? 0.0f : 0.9f;
    job.sampling.seed = rng.next_u32();
    if (below(3) == 0) job.sampling.repeat_penalty = 1.3f;
    job.max_new = 1 + below(30);
    job.step = below(20);
  }
  return jobs;
}

struct Results {
  std::map<uint64_t, Answer> answers;
  int64_t steps = 0, drafted = 0, accepted = 0;
};

Results run_jobs(std::shared_ptr<const Model> model, ThreadPool& pool, const std::vector<Job>& jobs, ExecutorOptions options,
             std::unique_ptr<Speculator> speculator) {
  auto executor = Executor::create(model, options, pool);
  EXPECT_TRUE(executor.ok()) << executor.status().message();
  std::unique_ptr<ExecutorDrafts> drafts;
  if (speculator) {
    drafts = std::make_unique<ExecutorDrafts>(std::move(speculator));
    drafts->attach(**executor);
  }
  Collector collector;
  collector.end_token = 7;
  Results run;
  double now = 0;
  size_t submitted = 0;
  for (int step = 0; submitted < jobs.size() || !(*executor)->idle(); ++step) {
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (jobs[i].step != step) continue;
      GenerationRequest request;
      request.request.id = i;
      request.request.prompt = jobs[i].prompt;
      request.request.max_new = jobs[i].max_new;
      request.sampling = jobs[i].sampling;
      EXPECT_TRUE((*executor)->submit(std::move(request), now).ok());
      ++submitted;
    }
    EXPECT_TRUE((*executor)->step([&] { return now += 0.01; }, collector).ok());
  }
  EXPECT_TRUE((*executor)->step([&] { return now; }, collector).ok());  // hears of the last ends
  run.answers = collector.answers;
  run.steps = (*executor)->steps();
  run.drafted = (*executor)->scheduler().stats().drafted;
  run.accepted = (*executor)->scheduler().stats().accepted;
  return run;
}

void expect_equal(const Results& a, const Results& b, const std::string& what) {
  ASSERT_EQ(a.answers.size(), b.answers.size()) << what;
  for (const auto& [id, answer] : a.answers) {
    const Answer& other = b.answers.at(id);
    EXPECT_EQ(answer.tokens, other.tokens) << what << ", request " << id;
    EXPECT_EQ(answer.hash, other.hash) << what << ", request " << id;
    EXPECT_EQ(answer.reason, other.reason) << what << ", request " << id;
  }
}

TEST(ExecutorDrafts, ManySequencesEqualPlain) {
  const std::string names[] = {"llama", "qwen2", ""};
  for (int round = 0; round < 12; ++round) {
    ThreadPool pool(round == 0 ? 2 : 1);
    const auto target = test::load_or_fail(test::golden_path("tiny/llama"), pool);
    const std::string& name = names[round % 3];
    const auto draft = name.empty() ? nullptr : test::load_or_fail(test::golden_path("tiny/" + name), pool);
    const std::vector<Job> jobs = random_jobs(round, 14);
    ExecutorOptions options;
    options.context = 128;
    options.sched.max_seqs = 6;
    options.sched.token_budget = 24;
    const auto speculator = [&](int draft_len, int64_t catch_up, int32_t lanes) {
      std::unique_ptr<DraftModel> model;
      if (draft) model = std::move(*DraftModel::create(draft, *target, {.context = 80, .max_sequences = lanes, .head_rows = 128}, pool));
      return std::make_unique<Speculator>(SpeculationOptions{.draft_len = draft_len, .catch_up = catch_up},
                                          std::move(model), target->decoder().bytes_per_token());
    };
    const Results plain = run_jobs(target, pool, jobs, options, nullptr);
    for (int draft_len : {SpeculationOptions::kAutomatic, 1, 4}) {
      // Room for fewer drafts than sequences: some go without.
      const Results drafted = run_jobs(target, pool, jobs, options, speculator(draft_len, round % 2 ? 0 : 9, 3));
      expect_equal(plain, drafted, fmt::format("round {}, drafts of {} by '{}'", round, draft_len, name));
      EXPECT_LE(drafted.accepted, drafted.drafted);
      if (name == "llama" && draft_len == 4) {
        EXPECT_GT(drafted.accepted, 0);
        EXPECT_LT(drafted.steps, plain.steps);
      }
    }
  }
}

}  // namespace
}  // namespace callie::decode
