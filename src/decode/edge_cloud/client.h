#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "decode/edge_cloud/clock.h"
#include "decode/edge_cloud/controller.h"
#include "decode/edge_cloud/draft_model.h"
#include "decode/edge_cloud/hashed_tokens.h"
#include "decode/edge_cloud/message.h"
#include "decode/edge_cloud/mode.h"

namespace callie::edge_cloud {

struct ClientOptions {
  Mode mode = Mode::kAdaptive;
  int draft_len = 4;           ///< fixed modes: tokens a block has; adaptive: the most it may have
  float min_probability = 0;   ///< a block ends early below this probability of its last token
  int max_outcomes = 3;        ///< pre-drafted outcomes a round, hints not counted
  int catch_up_chunk = 64;     ///< tokens the draft model reads in one unit of work
  std::optional<Costs> calibration;  ///< what an earlier session measured, its round trip apart
  double server_price = 0;     ///< lambda: seconds of waiting that a second of server time is worth
  TimeNs reply_timeout = 5 * kSecond;
  TimeNs open_timeout = 5 * kSecond;  ///< for Opened, which comes after the whole prompt's pass
  TimeNs retry_for = 60 * kSecond;  ///< how long a lost server is looked for
  TimeNs retry_first = 50 * kMillisecond, retry_max = 2 * kSecond;
};

/// One step of a client's time line, for reports and tests.
struct TraceEvent {
  enum class Kind { kDraftStep, kPreDraftStep, kSendDraft, kSendOptimistic, kHint, kVerdict, kToken };
  Kind kind;
  TimeNs begin, end;
  uint32_t round;
  int value;  ///< steps: index of the token in its block; drafts: tokens; hint and verdict: accepted
};

struct ClientStats {
  int64_t rounds = 0, drafted = 0, accepted = 0, emitted = 0;
  int64_t draft_steps = 0, pre_draft_steps = 0, wasted_steps = 0;
  int64_t hint_rounds = 0, hint_hits = 0, hint_only_hits = 0, guess_rounds = 0, guess_hits = 0, optimistic_sent = 0, optimistic_hits = 0;
  int64_t other_hits = 0;  ///< rounds that an outcome beside own guess and hint was drafted for, and came
  int64_t cache_hits = 0, hints_early = 0;  ///< hints that left at least a fifth of the pass
  int64_t hint_lead_ns = 0;  ///< from a right hint to its verdict, summed
  int64_t server_us = 0, draft_ns = 0, bytes_up = 0, bytes_down = 0;
  int64_t reconnects = 0, cold_resumes = 0, reopened = 0, mode_switches = 0;
  std::vector<int64_t> survived;  ///< [g] rounds in which the first i+1 draft tokens stood
  std::vector<int64_t> tried;     ///< [g] rounds whose block had more than i tokens
  TimeNs first_token = 0, last_token = 0;
};

/// What a client does to the world.
class ClientSink {
 public:
  virtual ~ClientSink() = default;
  /// Starts to connect; Client::on_connected or on_disconnected answers.
  virtual void connect() = 0;
  virtual void send(std::string frame) = 0;
  virtual void close() = 0;
  /// Newly emitted tokens, in order, each once. They are the large model's.
  virtual void emit(std::span<const TokenId> tokens) = 0;
};

/// The client's state machine: drafts, pre-drafts, cache of speculated outcomes, streams, reconnects. It does no I/O and
/// never waits; one thread calls it. Work is done in single draft steps, between which frames are looked at.
class Client {
 public:
  /// `request` as it goes over the wire; its prompt_ids are the prompt and `generated` is 0. `ends(t)` says that no
  /// guess after t is worth drafting.
  Client(Open request, ClientOptions options, DraftModel& draft, ClientSink& sink, const Clock& clock,
         std::function<bool(TokenId)> ends);

  void start();
  void on_connected();
  void on_disconnected(const std::string& reason);
  /// `arrived` is when the frame came in, which may be before the draft step that delayed this call.
  void on_frame(std::string_view frame, TimeNs arrived);
  /// Does at most one draft step. False when there is nothing to do before a frame or a timer.
  bool work();
  TimeNs next_timer() const { return timer_; }
  void on_timer();
  /// Stops early (the user, or a stop string): the session ends, status() stays ok.
  void stop();

  bool finished() const { return phase_ == Phase::kDone; }
  /// Why it finished, when that was not the sequence's end.
  const Status& status() const { return status_; }
  std::span<const TokenId> emitted() const { return committed_.tokens().subspan(prompt_length_); }
  uint64_t logits_hash() const { return logits_hash_; }
  const ClientStats& stats() const { return stats_; }
  const Controller& controller() const { return controller_; }
  Controller& controller() { return controller_; }
  /// Keeps the time line from now on.
  void trace(std::vector<TraceEvent>* events) { trace_ = events; }
  /// The first broken invariant, or "". For tests.
  std::string check_invariants() const;
  /// The state in a few words, for logs.
  std::string describe() const;

 private:
  enum class Phase { kIdle, kConnecting, kOpening, kResuming, kRunning, kDone };
  enum class Source { kOwn, kHint };
  struct Block {
    uint32_t round = 0;
    int base_length = 0;
    std::vector<TokenId> ids;
    std::vector<Guess> guesses;
    TimeNs sent = 0;
  };
  /// A block drafted for an outcome that has not come yet.
  struct Speculation {
    Outcome outcome;
    Source source = Source::kOwn;
    std::vector<TokenId> ids;
    std::vector<Guess> guesses;
    bool complete = false;
  };

  void handle(const Opened& m);
  void handle(const Hint& m);
  void handle(const Verdict& m);
  void handle(const Token& m);
  void handle(const Resumed& m);
  void handle(const Error& m);
  void handle(const Ping& m);

  void open();
  void ping();
  void resume();
  void fail(Status status);
  void finish();
  void commit(std::span<const TokenId> tokens);
  void send(const Message& message);
  void send_draft(const Block& block, const std::optional<After>& after);
  void send_block();
  void upload(Speculation& speculation);
  void start_round();
  bool adapts() const { return options_.mode == Mode::kAdaptive; }
  /// Asks for a stream as far as an adaptive session looks ahead, or to the end. False when enough is asked for already.
  bool ask_for_stream();
  void learn(const Block& block, const Verdict& m);
  void take_speculation(Outcome outcome);
  void forget_round();
  /// Feeds `sequence` (what is committed, then `tail`) to the draft; nothing while it still catches up.
  std::optional<Guess> draft_after(std::span<const TokenId> tail);
  /// Adds one token to `ids`, drafted after the committed sequence and `before`. True when the block is complete.
  bool extend_block(std::span<const TokenId> before, std::vector<TokenId>& ids, std::vector<Guess>& guesses, int limit);
  bool draft_block();
  bool draft_first_block();
  bool shadow_stream();
  bool speculate();
  bool pre_draft(Speculation& speculation, double hit_rate);
  bool worth_a_step(double hit_rate) const;
  Speculation& speculation_for(Outcome outcome, Source source);
  int room() const { return request_.max_new - static_cast<int>(emitted().size()); }
  /// Tokens a block may have whose base is `ahead` tokens beyond the committed sequence.
  int block_limit(int ahead) const;
  void note(TraceEvent::Kind kind, TimeNs begin, uint32_t round, int value);
  void arm(TimeNs delay);

  Open request_;
  const ClientOptions options_;
  DraftModel& draft_;
  ClientSink& sink_;
  const Clock& clock_;
  std::function<bool(TokenId)> ends_;
  Controller controller_;

  Phase phase_ = Phase::kIdle;
  Status status_;
  TimeNs timer_ = kNever;
  TimeNs lost_since_ = -1;
  TimeNs retry_delay_ = 0;

  HashedTokens committed_;
  int prompt_length_ = 0;
  std::vector<TokenId> fed_;  // what the draft's cache holds
  uint64_t session_ = 0;
  std::string secret_;
  uint32_t epoch_ = 0;
  uint32_t next_round_ = 1;
  int max_draft_ = 1;
  uint64_t logits_hash_ = 0;

  Plan plan_;                       // of the coming or running round
  std::optional<Block> drafting_;   // being drafted for the next round
  Block first_;                     // drafted before the session is open: a guess of the first token, and what follows
  std::optional<Block> in_flight_;  // sent, verdict awaited
  bool uploaded_ = false;           // the round in flight began as an optimistic upload
  std::optional<Hint> hint_;        // newest hint of the round in flight
  std::optional<int> first_hint_;   // the exit that spoke first
  TimeNs hint_since_ = 0;           // when the newest hint's outcome was first hinted at
  std::optional<Guess> guess_;      // own guess of the token after the block in flight
  std::vector<Speculation> speculations_;
  std::vector<std::pair<Block, Outcome>> uploads_;  // optimistic blocks of this round, oldest first
  int stream_until_ = 0;
  std::optional<std::pair<int, TokenId>> shadow_;   // (length, the draft's own next token) while streaming
  TimeNs last_verdict_ = 0;         // when it came
  TimeNs opened_at_ = 0;            // when Open was sent
  TimeNs ping_sent_ = -1;           // of the Ping whose reply is awaited
  bool connected_ = false;          // a reply came after Open: the next one's time is a round trip
  TimeNs arrived_ = 0;              // of the frame being handled
  std::map<int, Token> early_;      // tokens that overtook others
  bool resume_pending_ = false;
  bool connecting_ = false;

  ClientStats stats_;
  std::vector<TraceEvent>* trace_ = nullptr;
};

}  // namespace callie::edge_cloud
