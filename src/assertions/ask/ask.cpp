#include "assertions/ask/ask.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "core/interrupt.h"

namespace callie::assertions {
namespace {

StatusOr<Asked> ask_one(const Task& task, int sample, const AskOptions& options, Answerer& model) {
  std::vector<ChatTurn> turns = conversation(task, options.examples);
  Asked out;
  out.answer.id = task.id;
  out.answer.sample = sample;
  const uint64_t seed = options.seed + static_cast<uint64_t>(sample);
  CALLIE_ASSIGN_OR_RETURN(out.answer.text, model.answer(turns, seed));
  if (options.repair_rounds == 0) return out;
  JudgeOptions judge_options;
  judge_options.time_limit_s = options.time_limit_s;
  judge_options.relations = false;
  judge_options.wrong_designs = false;
  const Judge judge(task, judge_options);
  while (std::ssize(out.earlier) < options.repair_rounds && !interrupted()) {
    const AnswerJudgement judgement = judge.judge(out.answer.text);
    if (judgement.accepted) break;
    turns.push_back({"assistant", out.answer.text});
    turns.push_back({"user", repair_request(judgement)});
    out.earlier.push_back(std::move(out.answer.text));
    CALLIE_ASSIGN_OR_RETURN(out.answer.text, model.answer(turns, seed));
  }
  return out;
}

}  // namespace

Status ask_all(const std::vector<Task>& tasks, const std::set<std::pair<std::string, int>>& done, const AskOptions& options,
               Answerer& model, const std::function<Status(const Asked&)>& take) {
  std::vector<std::pair<const Task*, int>> open;
  for (int sample = 0; sample < options.samples; ++sample) {
    for (const Task& task : tasks) {
      if (!done.contains({task.id, sample})) open.emplace_back(&task, sample);
    }
  }
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  Status failure;
  const auto work = [&] {
    for (size_t i = next++; i < open.size() && !stop && !interrupted(); i = next++) {
      StatusOr<Asked> asked = ask_one(*open[i].first, open[i].second, options, model);
      const std::lock_guard lock(mutex);
      Status status = asked.ok() ? take(*asked) : asked.status().with_context(open[i].first->id);
      if (status.ok()) continue;
      if (failure.ok()) failure = std::move(status);
      stop = true;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < model.concurrency(); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (interrupted()) return Status(StatusCode::kCancelled, "stopped; the same command goes on from here");
  return failure;
}

}  // namespace callie::assertions
