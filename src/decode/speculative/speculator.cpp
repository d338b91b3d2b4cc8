#include "decode/speculative/speculator.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace callie::decode {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kForget = 0.95;       // of the rate, a round
constexpr double kTrialShare = 0.01;   // of the time, for drafts that are not expected to gain
constexpr double kLaneRate = 0.08;     // of a sequence's own acceptance
constexpr int64_t kLongLag = 8;        // tokens: a draft cache that far behind is an investment ...
constexpr double kPayback = 32;        // ... over so many rounds
constexpr int64_t kHintRows = 4;       // rows of a draft pass that cost hardly more than one
constexpr double kLikelyHint = 0.25;   // a hint is worth its row
constexpr double kGuessRate = 0.05;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

Speculator::Speculator(const SpeculationOptions& options, std::unique_ptr<DraftModel> model, int64_t target_bytes)
    : options_(options), model_(std::move(model)), draft_share_(0) {
  if (model_) {
    draft_share_ = static_cast<double>(model_->model().decoder().bytes_per_token()) / static_cast<double>(target_bytes);
  }
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
  // Before the first passes, times are in units of the target's T(1).
  return draft_costs_.known() && verify_.known() ? draft_costs_.at(rows) : draft_share_ * verify_.at(rows);
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
    lane.acceptance += ((stood ? 1.0 : 0.0) - lane.acceptance) * kLaneRate;
    if (!stood) break;
  }
}

void Speculator::close_round() {
  if (std::exchange(mixed_round_, false)) round_tokens_ = 0;
  if (round_tokens_ > 0 && round_s_ > 0) {
    recent_tokens_ = recent_tokens_ * kForget + round_tokens_;
    recent_s_ = recent_s_ * kForget + round_s_;
    rate_ = recent_tokens_ / recent_s_;
    trial_s_ = std::min(trial_s_ + kTrialShare * round_s_, 2 * verify_.at(1));
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

void Speculator::plan_lookup(Lane& lane, int64_t rows, double* gain, int64_t* length) const {
  std::vector<double>& survival = lane.survival;
  survival.clear();
  double stands = 1;
  for (size_t k = 0; k < lane.looked_up.size(); ++k) {
    stands *= by_match_.at(match_bucket(lane.match + static_cast<int>(k)));
    survival.push_back(stands);
  }
  *gain = best_length(survival, rows, length);
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

void Speculator::choose_source(Lane& lane, int64_t rows, double step_s, int64_t batch) {
  const int64_t most = lane.request->most;
  lane.source = Source::kNone;
  lane.drafted.clear();
  lane.margins.clear();
  lane.looked_up.clear();
  const NgramLookup::Match match = lane.lookup.find(options_.min_match, longest(lane));
  lane.match = match.length;
  lane.looked_up.assign(match.continuation.begin(), match.continuation.end());
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

  double gain;
  int64_t length;
  plan_lookup(lane, rows, &gain, &length);
  lane.source = lane.looked_up.empty() ? Source::kNone : Source::kLookup;
  if (model_) {
    const int64_t room = std::min<int64_t>(most, options_.max_draft);
    double model_gain = gain_of_more(1, lane.acceptance, rows, room, step_s);
    const int64_t lag = model_->lag(lane.request->sequence, lane.request->tokens);
    const double lag_s = draft_s(lag) - draft_s(1);
    const double rounds = std::min(kPayback, std::max(1.0, static_cast<double>(most) / 4));
    if (lag > kLongLag) {
      // An investment pays in later rounds, with all the sequences that will be there.
      const double later_s = draft_s(batch) / static_cast<double>(batch) / guesses_a_pass_;
      model_gain = std::min(model_gain, gain_of_more(1, lane.acceptance, batch, room, later_s)) - rate_ * lag_s / rounds;
    } else {
      model_gain -= rate_ * lag_s;
    }
    if (lane.source == Source::kNone || model_gain > gain) {
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
  std::vector<DraftModel::Extension> extensions;
  const Clock::time_point begin = Clock::now();
  std::erase_if(lanes, [&](Lane* lane) {
    const uint64_t sequence = lane->request->sequence;
    if (!model_->follow(sequence, lane->request->tokens).ok()) return true;  // no memory: goes without
    if (options_.catch_up > 0 && model_->lag(sequence, lane->request->tokens) > options_.catch_up) {
      model_->catch_up(sequence, options_.catch_up);
      return true;
    }
    lane->sampler = *lane->request->sampler;
    lane->survival.clear();
    return false;
  });
  round_s_ += seconds_since(begin);
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
    const Clock::time_point start = Clock::now();
    model_->extend(extensions);
    const double seconds = seconds_since(start);
    round_s_ += seconds;
    if (clean) draft_costs_.add(pass_rows, seconds);

    const double step_s =
        draft_s(static_cast<int64_t>(active.size())) / static_cast<double>(active.size()) / guesses_a_pass_;
    size_t kept = 0;
    for (size_t i = 0; i < active.size(); ++i) {
      Lane& lane = *active[i];
      const DraftModel::Extension& guess = extensions[i];
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
      bool more = n < most && !model_->model().tokenizer().is_end_of_generation(guess.tokens.back());
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
  const Clock::time_point start = Clock::now();
  for (const Request& request : requests) learn(lanes_[request.sequence], request.tokens);
  close_round();
  int64_t rows = other_rows + static_cast<int64_t>(requests.size());
  const auto n = static_cast<int64_t>(requests.size());
  const int64_t batch = n + soon;
  rate_ = std::max(rate_, static_cast<double>(batch) / verify_.at(batch));
  std::vector<Lane*> drafting;
  for (Request& request : requests) {
    Lane& lane = lanes_[request.sequence];
    request.draft.clear();
    lane.request = &request;
    lane.lookup.follow(request.tokens);
    lane.known = request.tokens.size();
    choose_source(lane, rows, draft_s(n) / static_cast<double>(n) / guesses_a_pass_, batch);
    rows += static_cast<int64_t>(request.draft.size());
    if (lane.source == Source::kModel) drafting.push_back(&lane);
  }
  round_s_ += seconds_since(start);
  if (!drafting.empty()) run_model(std::move(drafting), rows);
}

}  // namespace callie::decode
