#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"
#include "engine/kv_cache.h"
#include "engine/model_runner.h"
#include "engine/sampler.h"
#include "sched/scheduler.h"

namespace callie {

struct ExecutorOptions {
  int64_t context = 4096;   ///< longest sequence, in tokens
  int64_t kv_memory = 0;    ///< bytes for keys and values; 0 = max_seqs sequences of `context`, at most 2 GiB
  kernels::KvFormat kv_format = kernels::KvFormat::kF16;
  nn::Precision precision = nn::Precision::kDefault;
  bool prefix_cache = true;
  int block_size = 16;  ///< tokens of a KV block: 16, 32, 64, 128 or 256. Whole blocks of a prefix are shared
  sched::SchedulerOptions sched;
};

/// What a request brings beside its tokens.
struct GenerationRequest {
  sched::Request request;             ///< prompt tokens, max_new, priority, arrival, deadline, salt, id
  SamplingOptions sampling;
  std::unique_ptr<TokenMask> mask;    ///< constraint, or null
  int64_t generated = 0;              ///< the last so many prompt tokens were generated before (a resumed generation)
};

/// One chosen token. `logits` are the raw ones that chose it, [vocab_size], valid during the call.
struct ChosenToken {
  sched::Handle handle;
  uint64_t request_id;
  int32_t token;
  int64_t index;  ///< in this generation, from 0
  std::span<const float> logits;
};

/// Hears of every token and every end, on the thread that calls step(), in a deterministic order.
class ExecutorListener {
 public:
  virtual ~ExecutorListener() = default;
  /// kNone goes on; anything else ends the request after this token (tokens accepted behind it are dropped).
  virtual sched::FinishReason on_token(const ChosenToken& token) = 0;
  virtual void on_finish(sched::Handle handle, const sched::Sequence& sequence) = 0;
};

/// One line of the step log (contracts: Blocks and scheduling).
struct StepRecord {
  double t_s = 0;
  int32_t n_prefill = 0, n_decode = 0, preempted = 0, drafted = 0, accepted = 0;
  double prefill_work = 0;
  int64_t ctx_decode = 0;
  int32_t blocks_used = 0, blocks_free = 0;
  double step_us = 0;  ///< host_us included
  double host_us = 0;  ///< outside the forward pass
};

/// The loop plan -> step -> commit: runs the scheduler's plans on a model. One thread drives it; it does no I/O.
class Executor {
 public:
  /// Errors: kResourceExhausted (memory), kInvalidArgument (a kv_memory below one block, a context below 1).
  static StatusOr<std::unique_ptr<Executor>> create(std::shared_ptr<const Model> model, const ExecutorOptions& options,
                                                    ThreadPool& pool);

  /// Queues a request; nothing changes on error. Errors: those of Scheduler::submit and SamplingOptions::validate;
  /// kInvalidArgument for a prompt that leaves no room in the context.
  StatusOr<sched::Handle> submit(GenerationRequest request, double now);
  void cancel(sched::Handle handle, double now);

  /// Plans, runs and commits one step. False when there was nothing to run. `clock` is read after the forward pass.
  StatusOr<bool> step(const std::function<double()>& clock, ExecutorListener& listener);

  /// Called before every plan; may call scheduler().set_draft().
  using DraftHook = std::function<void(Executor&)>;
  void set_draft_hook(DraftHook hook) { draft_hook_ = std::move(hook); }

  /// Called after every plan with the step's rows; the taps it returns (may be null) go into the forward pass.
  /// `first_row[i]` is the batch row where plan.rows[i] begins.
  using TapsHook = std::function<const nn::Taps*(const sched::StepPlan& plan, std::span<const int32_t> first_row)>;
  void set_taps_hook(TapsHook hook) { taps_hook_ = std::move(hook); }

  sched::Scheduler& scheduler() { return *scheduler_; }
  const sched::Scheduler& scheduler() const { return *scheduler_; }
  const sched::BlockPool& blocks() const { return *pool_; }
  /// The sampler's state of a live request (verification and drafts clone it).
  const Sampler& sampler(sched::Handle handle) const { return *samplers_[handle.slot]; }
  const StepRecord& last_step() const { return record_; }
  int64_t steps() const { return steps_; }  ///< that computed something
  const ExecutorOptions& options() const { return options_; }
  ModelRunner& runner() { return runner_; }
  int64_t kv_bytes() const { return cache_.bytes(); }
  bool idle() const { return scheduler_->idle(); }

 private:
  Executor(std::shared_ptr<const Model> model, const ExecutorOptions& options, KvCache cache, ThreadPool& pool);

  void build_rows(const sched::StepPlan& plan);
  /// Chooses the tokens of every sampling row, in parallel over sequences.
  void choose_tokens(const sched::StepPlan& plan, std::span<const float> logits);
  void report_finished(ExecutorListener& listener);

  struct Choice {
    std::vector<int32_t> tokens;
    Status status;
    int64_t first_logits = 0;  // row of the logits
  };

  ExecutorOptions options_;
  KvCache cache_;
  std::unique_ptr<sched::BlockPool> pool_;
  std::unique_ptr<sched::Scheduler> scheduler_;
  ModelRunner runner_;
  std::vector<std::unique_ptr<Sampler>> samplers_;  // by slot
  size_t n_reported_ = 0;                           // of scheduler_->finished()
  DraftHook draft_hook_;
  TapsHook taps_hook_;
  StepRecord record_;
  int64_t steps_ = 0;
  std::vector<nn::ForwardRow> rows_;
  std::vector<nn::SequencePages> pages_;
  std::vector<int32_t> first_row_;
  std::vector<Choice> choices_;
  std::vector<sched::RowResult> results_;
};

}  // namespace callie
