#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "chat/grammar.h"
#include "decode/edge_cloud/clock.h"
#include "decode/edge_cloud/exit_judge.h"
#include "decode/edge_cloud/sync_target.h"
#include "decode/strategy.h"
#include "engine/executor.h"
#include "tokenizer/streaming.h"

namespace callie::edge_cloud {

/// The sampler's settings as they cross the wire. Stop strings and constraints are not among them.
Sampling to_wire(const SamplingOptions& sampling);
SamplingOptions from_wire(const Sampling& sampling);

/// The large model of the server on the engine's executor: all sessions are sequences of one scheduler, and verify
/// passes of several clients share a batch. One thread calls it.
///
/// Between two passes a session is held by the scheduler; its cache may be given up when others need the blocks, and
/// the next pass then computes it again. A session opened with generated tokens verifies them as drafts, so that its
/// logits hash and stop strings go on as if the session had never been interrupted.
class ModelTarget : public SyncTarget, private ExecutorListener {
 public:
  /// Errors: those of Executor::create. `pool` and `clock` must outlive it. `exits` of the same model may be null.
  static StatusOr<std::unique_ptr<ModelTarget>> create(std::shared_ptr<const Model> model, ExecutorOptions options,
                                                       ThreadPool& pool, const Clock& clock,
                                                       std::shared_ptr<const ExitHeads> exits = nullptr);
  ~ModelTarget() override;

  Status open(SessionId session, const Open& request) override;
  void evict(SessionId session) override;
  void close(SessionId session) override;
  int cache_length(SessionId session) const override;
  TimeNs run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) override;

  /// Takes a pass in; step() computes it. At most one of a session.
  void begin(PassJob job);
  bool idle() const { return jobs_.empty(); }
  /// Runs one step of the executor over all passes that were begun. Finished ones go to `on_done`.
  void step(const std::function<void(const ExitReport&)>& on_exit, const std::function<void(PassJob)>& on_done);

  /// Time spent in steps, each counted once however many sessions shared it.
  TimeNs busy() const { return busy_; }
  const Executor& executor() const { return *executor_; }
  Executor& executor() { return *executor_; }

 private:
  struct Session;
  struct Job {
    PassJob pass;
    TimeNs started = -1;  // of its first step
    bool rebuilds = false;  // more than the last token and the draft is computed
    bool done = false;
    Status status;
    std::vector<TokenId> chosen;
    std::vector<uint32_t> exit_us;
  };

  ModelTarget(std::shared_ptr<const Model> model, std::unique_ptr<Executor> executor, const Clock& clock,
              std::shared_ptr<const ExitHeads> exits);
  const nn::Taps* prepare(const sched::StepPlan& plan);
  void report_exit(int exit, const nn::ExitRows& rows);
  sched::FinishReason on_token(const ChosenToken& token) override;
  void on_finish(sched::Handle handle, const sched::Sequence& sequence) override;
  StatusOr<std::unique_ptr<TokenMask>> compile(const Constraint& constraint);
  Status submit(Session& session, const Job& job, bool replay);
  void go_on(Session& session, Job& job);
  double seconds() const { return static_cast<double>(clock_.now()) * 1e-9; }

  std::shared_ptr<const Model> model_;
  std::unique_ptr<Executor> executor_;
  const Clock& clock_;
  std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
  std::unordered_map<SessionId, Job> jobs_;
  TimeNs busy_ = 0;
  std::shared_ptr<const GrammarCompiler> grammars_;  // made for the first constraint
  std::optional<ExitJudge> judge_;
  nn::Taps taps_;
  const std::function<void(const ExitReport&)>* on_exit_ = nullptr;  // of the step that runs
  struct ExitWanted {
    SessionId session;
    sched::Handle handle;
    int64_t first_row;  // among the rows that want logits
  };
  std::vector<ExitWanted> exits_wanted_;  // of the step that runs
};

}  // namespace callie::edge_cloud
