#include "decode/speculative/speculator.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace callie::decode {
namespace {

constexpr double kForget = 0.95;       // of the rate, a round
constexpr double kTrialShare = 0.008;  // of the time, for drafts that are not expected to gain
constexpr double kSavedShare = 0.1;    // of the time that drafts have saved, for the same
constexpr double kMostTrial = 3;       // target passes
constexpr double kLaneRate = 0.05;     // of a sequence's own acceptance
constexpr double kPriorSamples = 6;
constexpr double kTypicalRate = 0.03;  // of what a new sequence's starts from
constexpr int64_t kLongLag = 8;        // tokens: a draft cache that far behind is an investment ...
constexpr int64_t kPayback = 128;      // ... over so many tokens, if the answer is that long ...
constexpr double kTrust = 0.5;         // ... and the saving is not overrated
constexpr double kCatchUpRate = 0.3;
constexpr int64_t kHintRows = 4;       // rows of a draft pass that cost hardly more than one
constexpr double kLikelyHint = 0.25;   // a hint is worth its row
constexpr double kGuessRate = 0.05;

}  // namespace

double Speculator::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Speculator::Speculator(const SpeculationOptions& options, std::unique_ptr<Drafter> model, int64_t target_bytes, Clock clock)
    : options_(options), model_(std::move(model)), clock_(std::move(clock)), draft_share_(0) {
  if (model_) draft_share_ = static_cast<double>(model_->step_bytes()) / static_cast<double>(target_bytes);
}

void Speculator::passed(int64_t rows, double seconds) {
  verify_.add(rows, seconds);
  round_s_ += seconds;
}

void Speculator::restart(uint64_t sequence) {
  lanes_[sequence].known = 0;
  round_tokens_ = round_s_ = 0;
}

void Speculator::forget(uint64_t sequence) {
  lanes_.erase(sequence);
  if (model_) model_->forget(sequence);
}

double Speculator::draft_s(int64_t rows) const {
  // Before the first passes, times are in units of the target's T(1). The first passes may have found cold memory.
  const double expected = draft_share_ * verify_.at(rows);
  if (!draft_costs_.known() || !verify_.known()) return expected;
  return draft_costs_.settled() ? draft_costs_.at(rows) : std::min(expected, draft_costs_.at(rows));
}

double Speculator::guess_s(int64_t batch) const {
  return draft_s(batch) / static_cast<double>(batch) / guesses_a_pass_;
}

double Speculator::lag_s(int64_t lag) const {
  return lag > kLongLag && catch_up_s_ > 0 ? static_cast<double>(lag) * catch_up_s_ : draft_s(lag);
}

void Speculator::catch_up(uint64_t sequence, int64_t tokens) {
  const double start = clock_();
  model_->catch_up(sequence, tokens);
  const double seconds = clock_() - start, each = seconds / static_cast<double>(tokens);
  round_s_ += seconds;
  catch_up_s_ = catch_up_s_ == 0 ? each : catch_up_s_ + (each - catch_up_s_) * kCatchUpRate;
}

void Speculator::learn(Lane& lane, std::span<const int32_t> tokens) {
  if (lane.known == 0 || tokens.size() < lane.known) return;
  const auto added = tokens.subspan(lane.known);
  round_tokens_ += static_cast<double>(added.size());
  for (size_t i = 0; i < lane.looked_up.size() && i < added.size(); ++i) {
    const bool stood = lane.looked_up[i] == added[i];
    by_match_.add(match_bucket(lane.match + static_cast<int>(i)), stood);
    if (!stood) break;
  }
  for (size_t i = 0; i < lane.drafted.size() && i < added.size(); ++i) {
    const bool stood = lane.drafted[i] == added[i];
    by_margin_.add(margin_bucket(lane.margins[i]), stood);
    // What it starts from counts like so many samples.
    const double rate = std::max(kLaneRate, 1 / (kPriorSamples + static_cast<double>(lane.samples++)));
    lane.acceptance += ((stood ? 1.0 : 0.0) - lane.acceptance) * rate;
    typical_acceptance_ += ((stood ? 1.0 : 0.0) - typical_acceptance_) * kTypicalRate;
    if (!stood) break;
  }
}

void Speculator::close_round() {
  if (std::exchange(mixed_round_, false)) round_tokens_ = 0;
  // The first passes may have found cold memory: they say nothing of the rate.
  if (round_tokens_ > 0 && round_s_ > 0 && verify_.settled()) {
    recent_tokens_ = recent_tokens_ * kForget + round_tokens_;
    recent_s_ = recent_s_ * kForget + round_s_;
    recent_rate_ = recent_tokens_ / recent_s_;
    const double saved = std::max(0.0, round_tokens_ * round_plain_s_ - round_s_);
    trial_s_ += kTrialShare * round_s_ + kSavedShare * saved + (std::exchange(first_trial_, false) ? verify_.at(1) : 0);
    trial_s_ = std::min(trial_s_, kMostTrial * verify_.at(1));
  }
  round_tokens_ = round_s_ = 0;
}

double Speculator::best_length(std::span<const double> survival, int64_t rows, int64_t* length) const {
  double best = -std::numeric_limits<double>::infinity(), sum = 0;
  *length = 0;
  for (size_t k = 0; k < survival.size(); ++k) {
    sum += survival[k];
    const auto n = static_cast<int64_t>(k) + 1;
    const double gain = sum - rate_ * (verify_.at(rows + n) - verify_.at(rows));
    if (gain > best) {
      best = gain;
      *length = n;
    }
  }
  return best;
}

double Speculator::gain_of_more(double survival, double acceptance, int64_t rows, int64_t room, double step_s) const {
  double best = -std::numeric_limits<double>::infinity(), sum = 0;
  for (int64_t k = 1; k <= room; ++k) {
    survival *= acceptance;
    sum += survival;
    best = std::max(best, sum - rate_ * (static_cast<double>(k) * step_s + verify_.at(rows + k) - verify_.at(rows)));
  }
  return best;
}

double Speculator::saved_s(double acceptance, int64_t batch, int64_t room) const {
  const auto n = static_cast<double>(batch);
  const double step_s = draft_s(batch) / guesses_a_pass_, plain_s = verify_.at(batch) / n;
  double best = plain_s, stands = 1, tokens = 1;
  for (int64_t k = 1; k <= room; ++k) {
    stands *= acceptance;
    tokens += stands;
    best = std::min(best, (static_cast<double>(k) * step_s + verify_.at(batch * (k + 1))) / (n * tokens));
  }
  return plain_s - best;
}

int64_t Speculator::longest(const Lane& lane) const {
  return std::min<int64_t>(lane.request->most, automatic() ? options_.max_draft : options_.draft_len);
}

void Speculator::find_hints(Lane& lane, int64_t most) const {
  lane.hints.clear();
  const NgramLookup::Match match = lane.lookup.find(options_.min_match, most, lane.drafted);
  double likely = 1;
  for (size_t i = 0; i < match.continuation.size(); ++i) {
    likely *= by_match_.at(match_bucket(match.length + static_cast<int>(i)));
    if (likely < kLikelyHint) break;
    lane.hints.push_back(match.continuation[i]);
  }
}

void Speculator::look_up(Lane& lane) {
  lane.lookup.follow(lane.request->tokens);
  lane.known = lane.request->tokens.size();
  lane.source = Source::kNone;
  lane.drafted.clear();
  lane.margins.clear();
  const NgramLookup::Match match = lane.lookup.find(options_.min_match, longest(lane));
  lane.match = match.length;
  lane.looked_up.assign(match.continuation.begin(), match.continuation.end());
  lane.survival.clear();
  double stands = 1;
  for (size_t k = 0; k < lane.looked_up.size(); ++k) {
    stands *= by_match_.at(match_bucket(lane.match + static_cast<int>(k)));
    lane.survival.push_back(stands);
  }
}

double Speculator::attainable_rate(const Lane& lane, int64_t n, double step_s) const {
  const double alone_s = verify_.at(n), share_s = alone_s / static_cast<double>(n);
  double best = 1 / share_s, tokens = 1;
  for (size_t k = 0; k < lane.survival.size(); ++k) {
    tokens += lane.survival[k];
    best = std::max(best, tokens / (share_s + verify_.at(n + static_cast<int64_t>(k) + 1) - alone_s));
  }
  tokens = 1;
  double stands = 1;
  for (int64_t k = 1; model_ && k <= longest(lane); ++k) {
    stands *= lane.acceptance;
    tokens += stands;
    best = std::max(best, tokens / (share_s + static_cast<double>(k) * step_s + verify_.at(n + k) - alone_s));
  }
  return best * static_cast<double>(n);
}

void Speculator::choose_source(Lane& lane, int64_t rows, double step_s, int64_t batch) {
  const int64_t most = lane.request->most;
  if (most < 1) return;
  if (!automatic()) {
    if (model_) {
      lane.source = Source::kModel;
    } else if (!lane.looked_up.empty()) {
      lane.source = Source::kLookup;
      lane.request->draft = lane.looked_up;
    }
    return;
  }

  int64_t length;
  double gain = best_length(lane.survival, rows, &length);
  lane.source = lane.looked_up.empty() ? Source::kNone : Source::kLookup;
  if (model_) {
    const int64_t room = std::min<int64_t>(most, options_.max_draft);
    double model_gain = gain_of_more(1, lane.acceptance, rows, room, step_s);
    const int64_t lag = model_->lag(lane.request->sequence, lane.request->tokens);
    const double behind_s = std::max(0.0, lag_s(lag) - draft_s(1));
    bool worth = true;
    if (lag > kLongLag) {
      // An investment: what all the later tokens save, with all the sequences that will be there, must pay for it.
      const double later = kTrust * static_cast<double>(std::min(most, kPayback));
      worth = later * saved_s(lane.acceptance, batch, room) > behind_s;
    } else {
      model_gain -= rate_ * behind_s;
    }
    if (worth && (lane.source == Source::kNone || model_gain > gain)) {
      lane.source = Source::kModel;
      gain = model_gain;
    }
  }
  if (lane.source == Source::kNone) return;
  if (gain < 0) {
    const double loss_s = -gain / rate_;
    if (loss_s > trial_s_) {
      lane.source = Source::kNone;
      return;
    }
    trial_s_ -= loss_s;
  }
  if (lane.source == Source::kLookup) {
    lane.request->draft.assign(lane.looked_up.begin(), lane.looked_up.begin() + length);
  }
}

void Speculator::run_model(std::vector<Lane*> lanes, int64_t rows) {
  std::vector<Drafter::Extension> extensions;
  std::erase_if(lanes, [&](Lane* lane) {
    const uint64_t sequence = lane->request->sequence;
    if (!model_->follow(sequence, lane->request->tokens).ok()) return true;  // no memory: goes without
    const int64_t lag = model_->lag(sequence, lane->request->tokens);
    if (options_.catch_up > 0 && lag > options_.catch_up) {
      catch_up(sequence, options_.catch_up);
      return true;
    }
    if (lag > kLongLag) catch_up(sequence, lag - 1);
    lane->sampler = *lane->request->sampler;
    lane->survival.clear();
    return false;
  });
  std::vector<Lane*> active = lanes;
  while (!active.empty()) {
    extensions.clear();
    const int64_t most_hints = kHintRows / static_cast<int64_t>(active.size()) - 1;
    int64_t pass_rows = 0;
    bool clean = true;  // the pass tells what a step costs
    for (Lane* lane : active) {
      const int64_t lag = lane->drafted.empty() ? model_->lag(lane->request->sequence, lane->request->tokens) : 1;
      clean &= lag <= 2;
      find_hints(*lane, std::min(most_hints, longest(*lane) - static_cast<int64_t>(lane->drafted.size()) - 1));
      pass_rows += lag + static_cast<int64_t>(lane->hints.size());
      extensions.push_back({lane->request->sequence, &lane->sampler, lane->hints});
    }
    const double start = clock_();
    model_->extend(extensions);
    const double seconds = clock_() - start;
    round_s_ += seconds;
    if (clean) draft_costs_.add(pass_rows, seconds);

    const double step_s = guess_s(static_cast<int64_t>(active.size()));
    size_t kept = 0;
    for (size_t i = 0; i < active.size(); ++i) {
      Lane& lane = *active[i];
      const Drafter::Extension& guess = extensions[i];
      if (guess.tokens.empty()) continue;
      guesses_a_pass_ += (static_cast<double>(guess.tokens.size()) - guesses_a_pass_) * kGuessRate;
      lane.drafted.insert(lane.drafted.end(), guess.tokens.begin(), guess.tokens.end());
      lane.margins.insert(lane.margins.end(), guess.margins.begin(), guess.margins.end());
      for (const float margin : guess.margins) {
        const double before = lane.survival.empty() ? 1 : lane.survival.back();
        lane.survival.push_back(before * by_margin_.at(margin_bucket(margin)));
      }
      const auto n = static_cast<int64_t>(lane.drafted.size());
      const int64_t most = longest(lane);
      bool more = n < most && !model_->ends(guess.tokens.back());
      if (more && automatic()) {
        more = gain_of_more(lane.survival.back(), lane.acceptance, rows + n, most - n, step_s) > 0;
      }
      if (more) active[kept++] = &lane;
    }
    active.resize(kept);
  }
  for (Lane* lane : lanes) {
    int64_t length = static_cast<int64_t>(lane->drafted.size());
    if (automatic() && best_length(lane->survival, rows, &length) < 0) length = 0;
    lane->request->draft.assign(lane->drafted.begin(), lane->drafted.begin() + length);
  }
}

void Speculator::propose(std::span<Request> requests, int64_t other_rows, int64_t soon) {
  const double start = clock_();
  for (const Request& request : requests) learn(lanes_[request.sequence], request.tokens);
  close_round();
  int64_t rows = other_rows + static_cast<int64_t>(requests.size());
  const auto n = static_cast<int64_t>(requests.size());
  const int64_t batch = n + soon;
  const double step_s = guess_s(n);
  double attainable = 0;
  for (Request& request : requests) {
    Lane& lane = lanes_[request.sequence];
    request.draft.clear();
    lane.request = &request;
    if (lane.known == 0) {
      lane.acceptance = typical_acceptance_;
      lane.samples = 0;
    }
    look_up(lane);
    attainable = std::max(attainable, attainable_rate(lane, n, step_s));
  }
  const double reached = recent_rate_ > 0 ? std::min(recent_rate_, attainable) : attainable;
  rate_ = std::max(reached, static_cast<double>(batch) / verify_.at(batch));
  std::vector<Lane*> drafting;
  for (Request& request : requests) {
    Lane& lane = lanes_[request.sequence];
    choose_source(lane, rows, step_s, batch);
    rows += static_cast<int64_t>(request.draft.size());
    if (lane.source == Source::kModel) drafting.push_back(&lane);
  }
  round_s_ += clock_() - start;
  round_plain_s_ = verify_.known() ? verify_.at(n) / static_cast<double>(n) : 0;
  if (!drafting.empty()) run_model(std::move(drafting), rows);
}

}  // namespace callie::decode
