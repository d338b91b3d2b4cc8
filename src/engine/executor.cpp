#include "engine/executor.h"

#include <algorithm>
#include <chrono>

namespace callie {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

sched::BlockPoolOptions pool_options(const ExecutorOptions& options, const KvCache& cache) {
  sched::BlockPoolOptions out;
  out.n_blocks = cache.n_blocks();
  out.block_size = cache.storage().layout.page_tokens;
  out.prefix_cache = options.prefix_cache;
  return out;
}

}  // namespace

StatusOr<std::unique_ptr<Executor>> Executor::create(std::shared_ptr<const Model> model, const ExecutorOptions& options,
                                                     ThreadPool& pool) {
  if (options.context < 1) return invalid_argument("--ctx: {} is not a number of tokens", options.context);
  if (options.sched.token_budget < 1 || options.sched.max_seqs < 1) {
    return invalid_argument("token_budget and max_seqs must be at least 1");
  }
  KvCache::Demand demand;
  demand.format = options.kv_format;
  demand.block_tokens = options.block_size;
  demand.context = options.context;
  demand.sequences = options.sched.max_seqs;
  demand.memory = options.kv_memory;
  CALLIE_ASSIGN_OR_RETURN(KvCache cache, KvCache::create(model->spec(), demand));
  return std::unique_ptr<Executor>(new Executor(std::move(model), options, std::move(cache), pool));
}

Executor::Executor(std::shared_ptr<const Model> model, const ExecutorOptions& options, KvCache cache, ThreadPool& pool)
    : options_(options),
      cache_(std::move(cache)),
      pool_(std::make_unique<sched::BlockPool>(pool_options(options, cache_))),
      scheduler_(std::make_unique<sched::Scheduler>(options.sched, pool_.get())),
      // Drafts may come on top of the budget.
      runner_(std::move(model), options.sched.token_budget + options.sched.max_seqs * (options.sched.max_draft + 1),
              options.precision, pool) {}

StatusOr<sched::Handle> Executor::submit(GenerationRequest request, double now) {
  CALLIE_RETURN_IF_ERROR(request.sampling.validate(runner_.vocab_size()));
  const auto prompt = request.request.prompt;
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  if (prompt_tokens + (request.request.max_new > 0 ? 1 : 0) > options_.context) {
    return invalid_argument("the prompt has {} tokens and the context only {}", prompt_tokens, options_.context);
  }
  if (request.generated < 0 || request.generated >= prompt_tokens) {
    return invalid_argument("generated: {} of {} prompt tokens", request.generated, prompt_tokens);
  }
  request.request.max_new =
      static_cast<int32_t>(std::min<int64_t>(request.request.max_new, options_.context - prompt_tokens));
  auto sampler = std::make_unique<Sampler>(std::move(request.sampling), std::move(request.mask));
  for (int32_t token : prompt.last(request.generated)) CALLIE_RETURN_IF_ERROR(sampler->accept(token));
  CALLIE_ASSIGN_OR_RETURN(const sched::Handle handle, scheduler_->submit(request.request, now));
  if (static_cast<size_t>(handle.slot) >= samplers_.size()) samplers_.resize(handle.slot + 1);
  samplers_[handle.slot] = std::move(sampler);
  return handle;
}

void Executor::cancel(sched::Handle handle, double now) {
  scheduler_->cancel(handle, sched::FinishReason::kCancelled, now);
}

void Executor::build_rows(const sched::StepPlan& plan) {
  rows_.clear();
  pages_.clear();
  first_row_.clear();
  for (const sched::Row& row : plan.rows) {
    const sched::Sequence& sequence = scheduler_->sequence(row.handle);
    first_row_.push_back(static_cast<int32_t>(rows_.size()));
    const int32_t known = row.n_tokens - row.n_draft;
    for (int32_t i = 0; i < row.n_tokens; ++i) {
      nn::ForwardRow& out = rows_.emplace_back();
      out.token = i < known ? sequence.tokens[row.start + i] : sequence.draft[i - known];
      out.sequence = static_cast<int32_t>(pages_.size());
      out.position = out.rope_position = out.slot = row.start + i;
      out.wants_logits = row.samples && i >= known - 1;
    }
    pages_.push_back({sequence.blocks});
  }
}

void Executor::choose_tokens(const sched::StepPlan& plan, std::span<const float> logits) {
  const int64_t vocab_size = runner_.vocab_size();
  if (choices_.size() < plan.rows.size()) choices_.resize(plan.rows.size());
  int64_t at = 0;
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    choices_[i].first_logits = at;
    if (plan.rows[i].samples) at += 1 + plan.rows[i].n_draft;
  }
  runner_.pool().parallel_for(static_cast<int64_t>(plan.rows.size()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const sched::Row& row = plan.rows[i];
      Choice& choice = choices_[i];
      choice.tokens.clear();
      choice.status = ok_status();
      if (!row.samples) continue;
      Sampler& sampler = *samplers_[row.handle.slot];
      const auto& draft = scheduler_->sequence(row.handle).draft;
      for (int32_t d = 0; d <= row.n_draft; ++d) {
        const auto token = sampler.choose(logits.subspan((choice.first_logits + d) * vocab_size, vocab_size));
        choice.status = token.status();
        if (choice.status.ok()) choice.status = sampler.accept(*token);
        if (!choice.status.ok()) break;
        choice.tokens.push_back(*token);
        if (d < row.n_draft && *token != draft[d]) break;
      }
    }
  });
}

void Executor::report_finished(ExecutorListener& listener) {
  const auto finished = scheduler_->finished();
  for (; n_reported_ < finished.size(); ++n_reported_) {
    const sched::Handle handle = finished[n_reported_];
    listener.on_finish(handle, scheduler_->sequence(handle));
    samplers_[handle.slot].reset();
  }
}

StatusOr<bool> Executor::step(const std::function<double()>& clock, ExecutorListener& listener) {
  const Clock::time_point start = Clock::now();
  if (draft_hook_) draft_hook_(*this);
  const double now = clock();
  report_finished(listener);  // cancelled since the last step
  const sched::StepPlan& plan = scheduler_->plan(now);
  n_reported_ = 0;
  report_finished(listener);  // deadlines that passed
  if (plan.rows.empty()) return false;
  for (const sched::BlockCopy& copy : plan.copies) cache_.copy_block(copy.from, copy.to);
  build_rows(plan);
  const nn::Taps* taps = taps_hook_ ? taps_hook_(plan, first_row_) : nullptr;

  const Clock::time_point forward_begin = Clock::now();
  const std::span<const float> logits = runner_.forward({rows_, pages_, cache_.storage()}, taps);
  const Clock::time_point forward_end = Clock::now();

  choose_tokens(plan, logits);
  const int64_t vocab_size = runner_.vocab_size();
  results_.assign(plan.rows.size(), {});
  int32_t accepted = 0;
  for (size_t i = 0; i < plan.rows.size(); ++i) {
    const sched::Row& row = plan.rows[i];
    const Choice& choice = choices_[i];
    sched::RowResult& result = results_[i];
    result.tokens = choice.tokens.data();
    const sched::Sequence& sequence = scheduler_->sequence(row.handle);
    for (size_t t = 0; t < choice.tokens.size() && result.finish == sched::FinishReason::kNone; ++t) {
      const ChosenToken token{
          row.handle, sequence.request_id, choice.tokens[t], sequence.output_tokens() + static_cast<int64_t>(t),
          logits.subspan((choice.first_logits + static_cast<int64_t>(t)) * vocab_size, vocab_size)};
      ++result.n_new;
      result.finish = listener.on_token(token);
    }
    if (!choice.status.ok() && result.finish == sched::FinishReason::kNone) result.finish = sched::FinishReason::kError;
    accepted += std::max(0, result.n_new - 1);
  }

  record_ = {now, plan.n_prefill, plan.n_decode, static_cast<int32_t>(plan.preempted.size()), plan.drafted, accepted,
             plan.prefill_work, plan.ctx_decode};
  scheduler_->commit(results_, clock());
  record_.blocks_used = pool_->used();
  record_.blocks_free = pool_->available();
  report_finished(listener);
  const Clock::time_point end = Clock::now();
  record_.step_us = microseconds(start, end);
  record_.host_us = record_.step_us - microseconds(forward_begin, forward_end);
  ++steps_;
  return true;
}

}  // namespace callie
