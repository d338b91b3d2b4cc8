#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "decode/edge_cloud/clock.h"
#include "decode/edge_cloud/draft_model.h"
#include "decode/edge_cloud/exit_judge.h"
#include "decode/edge_cloud/hashed_tokens.h"
#include "decode/edge_cloud/sync_target.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace callie::edge_cloud {

/// The large model with a memory: each pass over one sequence is run and timed once, alone, and its outcome and time
/// are played back wherever the same pass comes up again. With exits every pass over a draft runs them once, timed by
/// themselves: sessions without hints get the pass without their time. Serves one session.
class RecordingTarget : public SyncTarget {
 public:
  /// `exits` may be null.
  RecordingTarget(callie::Session& session, std::shared_ptr<const ExitHeads> exits);

  Status open(SessionId session, const Open& request) override;
  void evict(SessionId) override {}
  void close(SessionId) override {}
  int cache_length(SessionId) const override { return 0; }
  TimeNs run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) override;

  /// Forgets all passes, for another prompt.
  void clear() { passes_.clear(); }
  /// The times of all passes played since clear_log(), by width, without exits.
  const std::map<int, std::vector<TimeNs>>& log() const { return log_; }
  /// Time of the exits of all passes run so far, and of these passes without them.
  TimeNs exit_time() const { return exit_time_; }
  TimeNs exit_pass_time() const { return exit_pass_time_; }
  void clear_log() { log_.clear(); }

 private:
  struct Pass {
    Status status;
    Outcome outcome;
    bool ended = false;
    TimeNs took = 0;  // with exits
    struct Exit {
      ExitJudge::Guess guess;
      TimeNs at, cost;  // `at`: since the start of the pass, with exits
    };
    std::vector<Exit> exits;
    TimeNs plain() const;
  };
  void listen(const PassJob& job, const Sampler& sampler, TimeNs begin, Pass& pass);
  Pass measure(const PassJob& job);

  callie::Session& session_;
  std::optional<ExitJudge> judge_;
  std::vector<uint8_t> exit_layers_;  // [layers] 1 = an exit stands after it
  nn::Taps taps_;
  SteadyClock clock_;
  TimeNs exit_time_ = 0, exit_pass_time_ = 0;
  SamplingOptions sampling_;
  bool ignore_end_ = false;
  std::map<std::pair<uint64_t, uint64_t>, Pass> passes_;  // by hashes of the committed sequence and of it with the draft
  std::map<int, std::vector<TimeNs>> log_;
};

/// The small model with a memory of the same kind.
class RecordingDraft : public DraftModel {
 public:
  explicit RecordingDraft(DraftModel& model) : model_(model) {}

  int length() const override { return tokens_.length(); }
  void truncate(int length) override { tokens_.truncate(length); }
  Guess extend(std::span<const TokenId> tokens) override;
  /// How long the last extend() took when it was run.
  TimeNs last() const { return last_; }
  const std::vector<TimeNs>& log() const { return log_; }  ///< single steps played since clear_log()
  void clear_log() { log_.clear(); }

 private:
  DraftModel& model_;
  SteadyClock clock_;
  HashedTokens tokens_;
  std::vector<TokenId> fed_;  // what `model_` holds
  std::map<std::pair<uint64_t, int>, std::pair<Guess, TimeNs>> steps_;
  TimeNs last_ = 0;
  std::vector<TimeNs> log_;
};

}  // namespace callie::edge_cloud
