// The drafting half of the client: blocks, pre-drafts for outcomes that have not come yet, optimistic uploads, streams.

#include <algorithm>
#include <numeric>

#include "decode/edge_cloud/client.h"

namespace callie::edge_cloud {

int Client::block_limit(int ahead) const {
  return std::max(0, std::min({plan_.draft_len, max_draft_, room() - ahead - 1}));
}

std::optional<Guess> Client::draft_after(std::span<const TokenId> tail) {
  const auto committed = committed_.tokens();
  const int length = static_cast<int>(committed.size() + tail.size());
  const auto at = [&](int i) {
    return i < static_cast<int>(committed.size()) ? committed[i] : tail[i - committed.size()];
  };
  int same = 0;
  const int most = std::min(static_cast<int>(fed_.size()), length - 1);
  while (same < most && fed_[same] == at(same)) ++same;
  if (same < static_cast<int>(fed_.size())) {
    draft_.truncate(same);
    fed_.resize(same);
  }
  const int end = std::min(length, same + options_.catch_up_chunk);
  for (int i = same; i < end; ++i) fed_.push_back(at(i));
  const TimeNs begin = clock_.now();
  const Guess guess = draft_.extend(std::span(fed_).subspan(same));
  const TimeNs spent = clock_.now() - begin;
  stats_.draft_ns += spent;
  if (end - same <= 2) controller_.on_draft_step(static_cast<double>(spent) * 1e-9);
  if (end < length) return std::nullopt;
  return guess;
}

bool Client::extend_block(std::span<const TokenId> before, std::vector<TokenId>& ids, std::vector<Guess>& guesses,
                          int limit) {
  std::vector<TokenId> tail(before.begin(), before.end());
  tail.insert(tail.end(), ids.begin(), ids.end());
  const std::optional<Guess> guess = draft_after(tail);
  if (!guess) return false;
  ids.push_back(guess->token);
  guesses.push_back(*guess);
  return static_cast<int>(ids.size()) >= limit || ends_(guess->token) ||
         guess->probability < options_.min_probability;
}

bool Client::work() {
  switch (phase_) {
    case Phase::kConnecting:
    case Phase::kOpening:
    case Phase::kResuming:
      // The draft reads the prompt meanwhile.
      if (options_.mode == Mode::kStreaming || options_.mode == Mode::kPerCall) return false;
      if (static_cast<int>(fed_.size()) >= committed_.length()) return phase_ == Phase::kOpening && draft_first_block();
      draft_after({});
      return true;
    case Phase::kRunning:
      if (resume_pending_) return false;
      if (in_flight_) return plan_.drafts() && speculate();
      if (plan_.streams()) return shadow_stream();
      return drafting_ && draft_block();
    case Phase::kIdle:
    case Phase::kDone:
      return false;
  }
  return false;
}

bool Client::shadow_stream() {
  // While tokens stream in, the draft reads along: its guesses measure the acceptance that speculation would have.
  if (!adapts() || (shadow_ && shadow_->first == committed_.length())) return false;
  if (const std::optional<Guess> guess = draft_after({})) shadow_ = {committed_.length(), guess->token};
  return true;
}

bool Client::draft_first_block() {
  // The first block, behind a guess of the first token. An adaptive session learns what a step takes, too.
  constexpr int kMost = 4;
  if (!adapts() && !plan_.uses_own_guess()) return false;
  const int limit = 1 + std::min({kMost, options_.draft_len, room() - 2});
  if (static_cast<int>(first_.ids.size()) >= limit || (!first_.ids.empty() && ends_(first_.ids.back()))) return false;
  const TimeNs begin = clock_.now();
  extend_block({}, first_.ids, first_.guesses, limit);
  ++stats_.pre_draft_steps;
  note(TraceEvent::Kind::kPreDraftStep, begin, 0, static_cast<int>(first_.ids.size()));
  return true;
}

bool Client::draft_block() {
  const int limit = block_limit(0);
  Block& block = *drafting_;
  const bool full = static_cast<int>(block.ids.size()) >= limit || (!block.ids.empty() && ends_(block.ids.back()));
  if (full) {
    send_block();
    return true;
  }
  const TimeNs begin = clock_.now();
  const bool complete = extend_block({}, block.ids, block.guesses, limit);
  ++stats_.draft_steps;
  note(TraceEvent::Kind::kDraftStep, begin, next_round_, static_cast<int>(block.ids.size()));
  if (complete) send_block();
  return true;
}

void Client::send_draft(const Block& block, const std::optional<After>& after) {
  Draft m;
  m.round = block.round;
  m.epoch = epoch_;
  m.base_length = block.base_length;
  m.base_hash = committed_.hash();
  if (after) {
    for (int i = 0; i < after->outcome.accepted; ++i) m.base_hash = HashedTokens::next_hash(m.base_hash, in_flight_->ids[i]);
    m.base_hash = HashedTokens::next_hash(m.base_hash, after->outcome.next);
  }
  m.ids = block.ids;
  m.after = after;
  m.no_hints = !plan_.uses_hints();
  m.sent_ns = static_cast<uint64_t>(clock_.now());
  send(m);
}

void Client::send_block() {
  Block block = std::move(*drafting_);
  drafting_.reset();
  const int limit = block_limit(0);
  if (static_cast<int>(block.ids.size()) > limit) block.ids.resize(limit);
  if (!block.round) block.round = next_round_++;
  block.base_length = committed_.length();
  block.sent = clock_.now();
  send_draft(block, std::nullopt);
  note(TraceEvent::Kind::kSendDraft, block.sent, block.round, static_cast<int>(block.ids.size()));
  in_flight_ = std::move(block);
  uploaded_ = false;
  forget_round();
  arm(options_.reply_timeout);
}

void Client::forget_round() {
  hint_.reset();
  first_hint_.reset();
  guess_.reset();
  for (const Speculation& s : speculations_) stats_.wasted_steps += static_cast<int64_t>(s.ids.size());
  speculations_.clear();
  uploads_.clear();
}

bool Client::ask_for_stream() {
  // An adaptive session asks for a burst at a time, long enough to cover a round trip, and lets it run out to switch.
  constexpr int kSpare = 8, kStep = 4;
  const int length = committed_.length() + (phase_ == Phase::kOpening);
  const int last = prompt_length_ + request_.max_new;
  const double pass = std::max(1e-4, controller_.costs().pass(1));
  const int until = adapts() ? std::min(last, length + kSpare + static_cast<int>(controller_.round_trip() / pass)) : last;
  if (until <= stream_until_ || (stream_until_ > length && until < last && until - stream_until_ < kStep)) return false;
  stream_until_ = until;
  send(Stream{until});
  return true;
}

void Client::start_round() {
  if (in_flight_) return;
  plan_ = controller_.next_plan();
  stats_.mode_switches = controller_.switches();
  if (plan_.streams() || stream_until_ > committed_.length()) {
    if (!plan_.streams()) {
      plan_ = {Mode::kStreaming, 0};
    } else if (ask_for_stream() && adapts()) {
      ping();  // nothing else tells the round trip while tokens stream
    }
    drafting_.reset();
    return arm(options_.reply_timeout);
  }
  if (!resume_pending_) timer_ = kNever;
  if (!drafting_) drafting_ = Block{};
  const int limit = plan_.drafts() ? block_limit(0) : 0;
  if (limit == 0) drafting_->ids.clear();
  if (limit == 0 || static_cast<int>(drafting_->ids.size()) >= limit) send_block();
}

void Client::take_speculation(Outcome outcome) {
  // The newest upload is the one the server holds; an older one is sent again under its round.
  std::optional<Block> uploaded;
  bool newest = false;
  for (size_t i = 0; i < uploads_.size(); ++i) {
    if (uploads_[i].second != outcome) continue;
    uploaded = std::move(uploads_[i].first);
    newest = i + 1 == uploads_.size();
    break;
  }
  const auto found = std::find_if(speculations_.begin(), speculations_.end(),
                                  [&](const Speculation& s) { return s.outcome == outcome; });
  Block block;
  if (found != speculations_.end()) {
    ++stats_.cache_hits;
    block.ids = std::move(found->ids);
    block.guesses = std::move(found->guesses);
    found->ids.clear();
  }
  stats_.optimistic_hits += uploaded.has_value();
  if (uploaded && newest) {
    forget_round();
    uploaded->guesses = std::move(block.guesses);
    in_flight_ = std::move(*uploaded);
    uploaded_ = true;
    plan_ = controller_.next_plan();
    if (!plan_.drafts()) plan_ = {Mode::kSync, 1};  // a stream starts after the block that is on its way
    return arm(options_.reply_timeout);
  }
  if (uploaded) block.round = uploaded->round;
  forget_round();
  drafting_ = std::move(block);
}

Client::Speculation& Client::speculation_for(Outcome outcome, Source source) {
  for (Speculation& s : speculations_) {
    if (s.outcome == outcome) return s;
  }
  speculations_.push_back({outcome, source, {}, {}, ends_(outcome.next)});
  return speculations_.back();
}

bool Client::worth_a_step(double hit_rate) const {
  // A step that outlasts the wait delays the next block by the rest of it when the outcome is another one, and saves
  // the wait when it comes true.
  const double step = controller_.draft_step();
  const double pass = controller_.costs().pass(static_cast<int>(in_flight_->ids.size()) + 1);
  const double trip = controller_.round_trip();
  const double sent = static_cast<double>(in_flight_->sent) * 1e-9;
  const double expected =
      uploaded_ ? std::max(sent + trip, static_cast<double>(last_verdict_) * 1e-9) + pass : sent + trip + pass;
  const double left = expected - static_cast<double>(clock_.now()) * 1e-9;
  if (left >= step) return true;
  const double usable = left > 0 ? left / step : 0.5;
  return usable > 1 - hit_rate;
}

bool Client::pre_draft(Speculation& s, double hit_rate) {
  const int limit = block_limit(s.outcome.accepted + 1);
  if (limit == 0) s.complete = true;
  if (s.complete || !worth_a_step(hit_rate)) return false;
  std::vector<TokenId> before(in_flight_->ids.begin(), in_flight_->ids.begin() + s.outcome.accepted);
  before.push_back(s.outcome.next);
  const TimeNs begin = clock_.now();
  s.complete = extend_block(before, s.ids, s.guesses, limit);
  ++stats_.pre_draft_steps;
  note(TraceEvent::Kind::kPreDraftStep, begin, in_flight_->round, static_cast<int>(s.ids.size()));
  return true;
}

void Client::upload(Speculation& s) {
  if (!plan_.uploads_early() || !s.complete || s.ids.empty() || uploads_.size() >= 2) return;
  for (const auto& [block, outcome] : uploads_) {
    if (outcome == s.outcome) return;
  }
  Block block;
  block.round = next_round_++;
  block.base_length = committed_.length() + s.outcome.accepted + 1;
  block.ids = s.ids;
  block.sent = clock_.now();
  send_draft(block, After{in_flight_->round, s.outcome});
  note(TraceEvent::Kind::kSendOptimistic, block.sent, block.round, static_cast<int>(block.ids.size()));
  ++stats_.optimistic_sent;
  uploads_.emplace_back(std::move(block), s.outcome);
}

bool Client::speculate() {
  // The hint first, unless the own guess has been right more often where they differ; then the own guess (the whole block
  // stands), then the least certain token replaced by the runner-up.
  const bool disputed = hint_ && guess_ && plan_.uses_own_guess() &&
                        hint_->outcome != Outcome{static_cast<int>(in_flight_->ids.size()), guess_->token};
  const bool hinted =
      hint_ && plan_.uses_hints() && (!disputed || controller_.trusts_hint(hint_->confidence_q8));
  if (hinted) {
    Speculation& s = speculation_for(hint_->outcome, Source::kHint);
    if (pre_draft(s, controller_.hint_hit_rate())) {
      upload(s);
      return true;
    }
    if (!s.complete) return false;
    upload(s);
  }
  if (!plan_.uses_own_guess()) return false;
  const int drafted = static_cast<int>(in_flight_->ids.size());
  const double rate = controller_.guess_hit_rate();
  if (drafted == 0 || (drafted > 0 && ends_(in_flight_->ids.back()))) return false;
  if (!guess_) {
    if (!worth_a_step(rate)) return false;
    const TimeNs begin = clock_.now();
    guess_ = draft_after(in_flight_->ids);
    ++stats_.pre_draft_steps;
    note(TraceEvent::Kind::kPreDraftStep, begin, in_flight_->round, 0);
    return true;
  }
  Speculation& own = speculation_for({drafted, guess_->token}, Source::kOwn);
  if (pre_draft(own, rate)) {
    if (!hinted) upload(own);
    return true;
  }
  if (!own.complete) return false;
  if (!hinted) upload(own);

  std::vector<int> order(in_flight_->guesses.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return in_flight_->guesses[a].probability < in_flight_->guesses[b].probability;
  });
  for (int k = 0; k < static_cast<int>(order.size()) && k < options_.max_outcomes - 1; ++k) {
    const int i = order[k];
    if (i >= drafted || in_flight_->guesses[i].second == in_flight_->ids[i]) continue;
    if (pre_draft(speculation_for({i, in_flight_->guesses[i].second}, Source::kOwn), 0.1)) return true;
  }
  return false;
}

}  // namespace callie::edge_cloud
