#include "decode/edge_cloud/client.h"

#include <algorithm>
#include <cmath>

#include "decode/edge_cloud/codec.h"

namespace callie::edge_cloud {

Client::Client(Open request, ClientOptions options, DraftModel& draft, ClientSink& sink, const Clock& clock,
               std::function<bool(TokenId)> ends)
    : request_(std::move(request)),
      options_(options),
      draft_(draft),
      sink_(sink),
      clock_(clock),
      ends_(std::move(ends)),
      controller_(options.mode, options.draft_len, options.server_price) {
  if (options.calibration) controller_.seed(*options.calibration);
  committed_.append(request_.prompt_ids);
  prompt_length_ = committed_.length() - request_.generated;
  plan_ = {options.mode == Mode::kAdaptive ? Mode::kSync : options.mode, options.draft_len};
  request_.hints = plan_.uses_hints() || options.mode == Mode::kAdaptive;
  request_.optimistic = plan_.uploads_early() || options.mode == Mode::kAdaptive;
  stats_.survived.assign(options.draft_len, 0);
  stats_.tried.assign(options.draft_len, 0);
}

void Client::arm(TimeNs delay) { timer_ = clock_.now() + delay; }

void Client::note(TraceEvent::Kind kind, TimeNs begin, uint32_t round, int value) {
  if (trace_) trace_->push_back({kind, begin, clock_.now(), round, value});
}

void Client::send(const Message& message) {
  std::string frame = encode(message, request_.pad && !std::holds_alternative<Open>(message));
  stats_.bytes_up += static_cast<int64_t>(frame.size());
  sink_.send(std::move(frame));
}

void Client::start() {
  phase_ = Phase::kConnecting;
  lost_since_ = clock_.now();
  connecting_ = true;
  arm(options_.reply_timeout);
  sink_.connect();
}

void Client::on_connected() {
  if (phase_ != Phase::kConnecting) return;
  connecting_ = false;
  if (session_) {
    phase_ = Phase::kResuming;
    resume();
  } else {
    open();
  }
}

void Client::on_disconnected(const std::string& reason) {
  if (phase_ == Phase::kDone || phase_ == Phase::kIdle) return;
  const TimeNs now = clock_.now();
  if (lost_since_ < 0) lost_since_ = now;
  if (now - lost_since_ >= options_.retry_for) {
    return fail(error(StatusCode::kUnavailable, "the server cannot be reached: {}", reason));
  }
  if (phase_ != Phase::kConnecting) ++stats_.reconnects;
  phase_ = Phase::kConnecting;
  connecting_ = false;
  resume_pending_ = false;
  uploads_.clear();  // the server forgets them too
  retry_delay_ = std::clamp(retry_delay_ * 2, options_.retry_first, options_.retry_max);
  arm(retry_delay_);
}

void Client::on_timer() {
  if (clock_.now() < timer_) return;
  timer_ = kNever;
  switch (phase_) {
    case Phase::kConnecting:
      if (connecting_) {
        sink_.close();
        return on_disconnected("no connection in time");
      }
      connecting_ = true;
      arm(options_.reply_timeout);
      return sink_.connect();
    case Phase::kOpening:
    case Phase::kResuming:
      sink_.close();
      return on_disconnected("no reply in time");
    case Phase::kRunning:
      if (resume_pending_) {
        sink_.close();
        return on_disconnected("no reply in time");
      }
      return resume();
    case Phase::kIdle:
    case Phase::kDone:
      return;
  }
}

void Client::open() {
  phase_ = Phase::kOpening;
  session_ = 0;
  in_flight_.reset();
  drafting_.reset();
  first_ = Block{};
  early_.clear();  // tokens that the new session has not come to
  forget_round();
  Open m = request_;
  m.prompt_ids.assign(committed_.tokens().begin(), committed_.tokens().end());
  m.generated = committed_.length() - prompt_length_;
  stats_.reopened += m.generated > request_.generated;
  // A session that only streams need not wait a round trip for its second token.
  stream_until_ = options_.mode == Mode::kStreaming ? prompt_length_ + request_.max_new : 0;
  m.stream_until = stream_until_;
  arm(options_.open_timeout);
  opened_at_ = clock_.now();
  connected_ = false;
  send(m);
  if (options_.mode != Mode::kStreaming && options_.mode != Mode::kPerCall) ping();
}

void Client::ping() {
  ping_sent_ = clock_.now();
  send(Ping{static_cast<uint64_t>(ping_sent_), false});
}

void Client::handle(const Ping& m) {
  if (!m.reply) return send(Ping{m.time, true});
  if (ping_sent_ < 0 || m.time != static_cast<uint64_t>(ping_sent_)) return;
  const TimeNs trip = arrived_ - std::exchange(ping_sent_, -1);
  if (!std::exchange(connected_, true)) return ping();  // this one waited for the connection
  controller_.on_round_trip(static_cast<double>(trip) * 1e-9);
  // The server still computes the prompt: tokens asked for now follow the first one at once.
  const bool knows_passes = options_.calibration || stats_.emitted > 0;
  if (adapts() && phase_ == Phase::kOpening && knows_passes && controller_.would_stream()) ask_for_stream();
}

void Client::resume() {
  resume_pending_ = true;
  ++epoch_;
  arm(options_.reply_timeout);
  send(Resume{session_, secret_, committed_.length(), committed_.hash(), in_flight_ ? in_flight_->round : 0, epoch_});
}

void Client::stop() {
  if (phase_ != Phase::kDone) finish();
}

void Client::finish() {
  if (session_) send(Stop{});
  phase_ = Phase::kDone;
  timer_ = kNever;
  sink_.close();
}

void Client::fail(Status status) {
  status_ = std::move(status);
  phase_ = Phase::kDone;
  timer_ = kNever;
  sink_.close();
}

void Client::commit(std::span<const TokenId> tokens) {
  if (tokens.empty()) return;
  if (static_cast<int64_t>(tokens.size()) > room()) return fail(data_loss("from the server: more tokens than were asked for"));
  committed_.append(tokens);
  const TimeNs now = arrived_;
  if (stats_.emitted == 0) stats_.first_token = now;
  stats_.last_token = now;
  stats_.emitted += static_cast<int64_t>(tokens.size());
  sink_.emit(tokens);
}

void Client::on_frame(std::string_view frame, TimeNs arrived) {
  if (phase_ == Phase::kDone) return;
  arrived_ = arrived;
  stats_.bytes_down += static_cast<int64_t>(frame.size());
  StatusOr<Message> decoded = decode(frame);
  if (!decoded.ok()) return fail(decoded.status().with_context("from the server"));
  std::visit(
      [&](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, Opened> || std::is_same_v<M, Hint> || std::is_same_v<M, Verdict> ||
                      std::is_same_v<M, Token> || std::is_same_v<M, Resumed> || std::is_same_v<M, Error> ||
                      std::is_same_v<M, Ping>) {
          handle(m);
        } else {
          fail(data_loss("from the server: a frame that only clients send"));
        }
      },
      *decoded);
}

void Client::handle(const Opened& m) {
  if (phase_ != Phase::kOpening || m.length <= committed_.length()) return;
  if (m.length != committed_.length() + 1 || m.hash != HashedTokens::next_hash(committed_.hash(), m.first_token)) {
    return fail(data_loss("from the server: opened.hash differs from the sequence sent"));
  }
  session_ = m.session;
  secret_ = m.secret;
  max_draft_ = m.max_draft;
  logits_hash_ = m.logits_hash;
  lost_since_ = -1;
  retry_delay_ = 0;
  controller_.set_hints_offered(!m.exit_permille.empty());
  controller_.set_max_draft(m.max_draft);
  if (!m.table_us.empty() && stats_.rounds == 0 && controller_.costs().verify.empty()) {
    std::vector<double> table;
    for (uint32_t us : m.table_us) table.push_back(us * 1e-6);
    controller_.seed_verify(std::move(table));
  }
  controller_.on_opening(static_cast<double>(arrived_ - opened_at_) * 1e-9 - m.verify_us * 1e-6);
  stats_.server_us += stats_.emitted ? m.verify_us : 0;
  phase_ = Phase::kRunning;
  commit({&m.first_token, 1});
  if (phase_ == Phase::kDone) return;  // emit() may stop()
  if (m.ended) return finish();
  if (!first_.ids.empty() && first_.ids[0] == m.first_token) {
    drafting_ = Block{};
    drafting_->ids.assign(first_.ids.begin() + 1, first_.ids.end());
    drafting_->guesses.assign(first_.guesses.begin() + 1, first_.guesses.end());
  } else {
    stats_.wasted_steps += static_cast<int64_t>(first_.ids.size());
  }
  start_round();
}

void Client::handle(const Hint& m) {
  if (!in_flight_ || m.round != in_flight_->round) return;
  if (m.outcome.accepted > static_cast<int>(in_flight_->ids.size())) return;
  if (hint_ && m.exit <= hint_->exit) return;
  if (!first_hint_) first_hint_ = m.exit;
  if (!hint_ || hint_->outcome != m.outcome) hint_since_ = arrived_;
  hint_ = m;
  note(TraceEvent::Kind::kHint, arrived_, m.round, m.outcome.accepted);
}

void Client::handle(const Verdict& m) {
  if (phase_ != Phase::kRunning || m.length <= committed_.length()) return;
  if (!in_flight_ || m.round != in_flight_->round) {
    if (!resume_pending_) resume();  // a verdict was lost on the way
    return;
  }
  Block block = std::move(*in_flight_);
  in_flight_.reset();
  const int n = m.outcome.accepted;
  if (n > static_cast<int>(block.ids.size()) || m.length != committed_.length() + n + 1) {
    return fail(data_loss("from the server: verdict.accepted does not fit the draft"));
  }
  uint64_t hash = committed_.hash();
  for (int i = 0; i < n; ++i) hash = HashedTokens::next_hash(hash, block.ids[i]);
  if (HashedTokens::next_hash(hash, m.outcome.next) != m.hash) {
    return fail(data_loss("from the server: verdict.hash differs from the sequence"));
  }
  note(TraceEvent::Kind::kVerdict, arrived_, m.round, n);
  learn(block, m);
  max_draft_ = m.max_draft;
  controller_.set_max_draft(m.max_draft);
  logits_hash_ = m.logits_hash;
  std::vector<TokenId> tokens(block.ids.begin(), block.ids.begin() + n);
  tokens.push_back(m.outcome.next);
  last_verdict_ = arrived_;
  commit(tokens);
  if (phase_ == Phase::kDone) return;  // emit() may stop()
  if (m.ended) return finish();
  take_speculation(m.outcome);
  start_round();
}

void Client::learn(const Block& block, const Verdict& m) {
  const int drafted = static_cast<int>(block.ids.size());
  ++stats_.rounds;
  stats_.drafted += drafted;
  stats_.accepted += m.outcome.accepted;
  stats_.server_us += m.verify_us;
  for (int i = 0; i < drafted && i < static_cast<int>(stats_.tried.size()); ++i) {
    ++stats_.tried[i];
    stats_.survived[i] += i < m.outcome.accepted;
  }
  RoundReport r;
  r.draft_len = drafted;
  r.accepted = m.outcome.accepted;
  r.verify_s = m.verify_us * 1e-6;
  r.trip_s = static_cast<double>(arrived_ - block.sent) * 1e-9 - r.verify_s - m.queue_us * 1e-6;
  r.clean_trip = !uploaded_;
  r.width = m.width;
  if (guess_) {
    r.guessed = true;
    r.guess_hit = m.outcome == Outcome{drafted, guess_->token};
    ++stats_.guess_rounds;
    stats_.guess_hits += r.guess_hit;
  }
  r.asked_hint = plan_.uses_hints();
  if (hint_) {
    r.hinted = true;
    r.hint_hit = hint_->outcome == m.outcome;
    ++stats_.hint_rounds;
    stats_.hint_hits += r.hint_hit;
    stats_.hint_only_hits += r.hint_hit && !r.guess_hit;
    if (r.hint_hit) stats_.hint_lead_ns += arrived_ - hint_since_;
    if (guess_ && (r.hint_hit != r.guess_hit)) controller_.on_dispute(hint_->confidence_q8, r.hint_hit);
    if (*first_hint_ < static_cast<int>(m.exit_us.size()) && m.verify_us > 0) {
      r.hint_at = static_cast<double>(m.exit_us[*first_hint_]) / m.verify_us;
      stats_.hints_early += r.hint_at <= 0.8;
    }
  }
  if (!r.guess_hit && !r.hint_hit) {
    r.other_hit = std::any_of(speculations_.begin(), speculations_.end(), [&](const Speculation& s) {
      return s.outcome == m.outcome && !s.ids.empty();
    });
    stats_.other_hits += r.other_hit;
  }
  controller_.on_round(r);
}

void Client::handle(const Token& m) {
  if (phase_ != Phase::kRunning || m.length <= committed_.length()) return;
  if (m.length > committed_.length() + 1) {
    if (early_.size() < 256) early_.emplace(m.length, m);
    return;
  }
  Token token = m;
  while (true) {
    std::optional<bool> expected;
    if (shadow_ && shadow_->first == committed_.length()) expected = shadow_->second == token.id;
    controller_.on_stream_token(token.verify_us * 1e-6, expected);
    stats_.server_us += token.verify_us;
    logits_hash_ = token.logits_hash;
    note(TraceEvent::Kind::kToken, arrived_, 0, token.length);
    commit({&token.id, 1});
    if (phase_ == Phase::kDone) return;
    if (token.ended) return finish();
    early_.erase(early_.begin(), early_.upper_bound(committed_.length()));
    const auto next = early_.find(committed_.length() + 1);
    if (next == early_.end()) break;
    token = next->second;
  }
  if (in_flight_ && in_flight_->base_length != committed_.length()) in_flight_.reset();
  start_round();
}

void Client::handle(const Resumed& m) {
  if (!resume_pending_ || m.epoch != epoch_) return;
  const int from = m.length - static_cast<int>(m.replay.size());
  if (from > committed_.length() || from < prompt_length_) return fail(data_loss("from the server: resumed.replay has a gap"));
  resume_pending_ = false;
  secret_ = m.secret;
  logits_hash_ = m.logits_hash;
  lost_since_ = -1;
  retry_delay_ = 0;
  phase_ = Phase::kRunning;
  stats_.cold_resumes += m.cold;
  const int known = std::min(committed_.length(), m.length) - from;
  const bool advanced = m.length > committed_.length();
  std::vector<TokenId> fresh(m.replay.begin() + known, m.replay.end());
  commit(fresh);
  if (phase_ == Phase::kDone) return;
  if (m.hash != committed_.hash_at(m.length)) return fail(data_loss("from the server: resumed.hash differs"));
  early_.erase(early_.begin(), early_.upper_bound(committed_.length()));
  if (m.ended && m.length == committed_.length()) return finish();
  stream_until_ = 0;
  if (in_flight_ && in_flight_->base_length == committed_.length() && !advanced) {
    in_flight_->sent = clock_.now();
    uploaded_ = false;
    send_draft(*in_flight_, std::nullopt);
    return arm(options_.reply_timeout);
  }
  in_flight_.reset();
  if (advanced) drafting_.reset();
  forget_round();
  start_round();
}

void Client::handle(const Error& m) {
  const std::string text = "from the server: " + m.message;
  switch (m.code) {
    case ErrorCode::kUnknownSession:
    case ErrorCode::kSecret:
      if (phase_ == Phase::kRunning || phase_ == Phase::kResuming) {
        resume_pending_ = false;
        return open();
      }
      return;
    case ErrorCode::kAhead:
      if (phase_ == Phase::kRunning && !resume_pending_) resume();
      return;
    case ErrorCode::kVersion:
    case ErrorCode::kTokenizer:
    case ErrorCode::kTemplate:
    case ErrorCode::kModel:
      return fail(error(StatusCode::kFailedPrecondition, "{}", text));
    case ErrorCode::kUnsupported:
      return fail(error(StatusCode::kUnimplemented, "{}", text));
    case ErrorCode::kLimit:
      if (m.retriable && phase_ == Phase::kOpening) {
        sink_.close();
        return on_disconnected(m.message);
      }
      return fail(error(StatusCode::kResourceExhausted, "{}", text));
    case ErrorCode::kProtocol:
    case ErrorCode::kInternal:
      return fail(error(StatusCode::kInternal, "{}", text));
  }
}

std::string Client::describe() const {
  constexpr const char* kNames[] = {"idle", "connecting", "opening", "resuming", "running", "done"};
  return fmt::format("{}, mode {}, {} tokens, {}{}{}", kNames[static_cast<int>(phase_)], mode_name(plan_.mode),
                     committed_.length() - prompt_length_, in_flight_ ? "block in flight, " : "",
                     drafting_ ? "drafting, " : "", resume_pending_ ? "resume sent" : "");
}

std::string Client::check_invariants() const {
  if (static_cast<int>(fed_.size()) != draft_.length()) return "the draft's cache is not what was fed";
  if (static_cast<int>(emitted().size()) > request_.max_new) return "more tokens than max_new";
  if (in_flight_ && phase_ == Phase::kRunning && in_flight_->base_length != committed_.length()) {
    return "a block in flight from another base";
  }
  if (stats_.emitted != committed_.length() - prompt_length_ - request_.generated) return "a token emitted twice or lost";
  return "";
}

}  // namespace callie::edge_cloud
