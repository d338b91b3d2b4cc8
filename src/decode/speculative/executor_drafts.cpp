#include "decode/speculative/executor_drafts.h"

#include <algorithm>

namespace callie::decode {
namespace {

uint64_t name_of(sched::Handle handle) {
  return static_cast<uint64_t>(handle.generation) << 32 | static_cast<uint32_t>(handle.slot);
}

}  // namespace

void ExecutorDrafts::attach(Executor& executor) {
  executor.set_draft_hook([this](Executor& running) { propose(running); });
}

void ExecutorDrafts::learn_pass(const Executor& executor) {
  if (executor.steps() == steps_seen_) return;
  steps_seen_ = executor.steps();
  const StepRecord& step = executor.last_step();
  const double seconds = (step.step_us - step.host_us) * 1e-6;
  if (step.n_prefill > 0) {
    speculator_->passed_with_prompts();
  } else {
    speculator_->passed(step.n_decode + step.drafted, seconds);
  }
}

void ExecutorDrafts::propose(Executor& executor) {
  learn_pass(executor);
  sched::Scheduler& scheduler = executor.scheduler();
  for (auto it = followed_.begin(); it != followed_.end();) {
    if (scheduler.alive(it->second)) {
      ++it;
      continue;
    }
    speculator_->forget(it->first);
    it = followed_.erase(it);
  }
  requests_.clear();
  handles_.clear();
  int64_t prompt_rows = 0, prompts = 0;
  for (const int32_t slot : scheduler.running()) {
    const sched::Sequence& sequence = scheduler.sequence({slot, 0});
    const int32_t missing = sequence.known_tokens - sequence.computed_tokens;
    if (missing != 1 || sequence.known_tokens == sequence.prompt_tokens) {
      prompt_rows += missing;
      ++prompts;
      continue;
    }
    const sched::Handle handle{slot, sequence.generation};
    Speculator::Request& request = requests_.emplace_back();
    request.sequence = name_of(handle);
    request.tokens = sequence.tokens;
    request.sampler = &executor.sampler(handle);
    request.most = std::max(0, sequence.max_new - sequence.output_tokens() - 1);
    handles_.push_back(handle);
    followed_.emplace(request.sequence, handle);
  }
  if (requests_.empty()) return;
  speculator_->propose(requests_, std::min<int64_t>(prompt_rows, scheduler.options().token_budget), prompts);
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (!requests_[i].draft.empty()) scheduler.set_draft(handles_[i], requests_[i].draft);
  }
}

}  // namespace callie::decode
