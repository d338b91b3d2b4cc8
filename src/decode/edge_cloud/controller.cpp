#include "decode/edge_cloud/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace callie::edge_cloud {
namespace {

constexpr double kMargin = 0.02;      // another plan must be better by this much,
constexpr double kStreamMargin = 0.03;  // and drafts than streaming, whose time is certain, by this much
constexpr double kSurviveRate = 0.02;
constexpr double kDoubt = 0.05;       // of a token's acceptance: what other texts may have less ...
constexpr double kSure = 300;         // ... until so many tokens were seen
constexpr int kHintTrialEvery = 48;   // rounds without hints until they are tried again,
constexpr int kHintTrialRounds = 8;   // for so many rounds: a few unlucky ones must not decide for good

}  // namespace

Controller::Controller(Mode mode, int max_draft_len, double server_price)
    : mode_(mode), max_draft_len_(max_draft_len), server_price_(server_price) {}

void Controller::seed(const Costs& costs) {
  // What was saved weighs like a full memory of samples, so that the first rounds do not sweep it away.
  constexpr int64_t kRemembered = 50;
  if (costs.draft_step > 0) draft_step_.seed(costs.draft_step, kRemembered);
  seed_verify(costs.verify, kRemembered);
  survive_.assign(costs.survival.empty() ? 0 : costs.survival.size() - 1, Ewma(kSurviveRate));
  for (size_t k = 1; k < costs.survival.size(); ++k) {
    survive_[k - 1].seed(costs.survival[k - 1] > 0 ? costs.survival[k] / costs.survival[k - 1] : 0, kRemembered);
  }
  if (costs.survival.size() > 1) agreement_.seed(costs.survival[1], kRemembered);
  hint_hit_.seed(costs.hint_hit, kRemembered);
  guess_hit_.seed(costs.guess_hit, kRemembered);
  if (costs.guess_hit < 1) other_hit_.seed(std::min(1.0, costs.other_hit / (1 - costs.guess_hit)), kRemembered);
  hint_only_.seed(costs.hint_not_guess, kRemembered);
  hint_at_.seed(costs.hint_at, kRemembered);
  if (costs.exit_share > 0) exit_share_ = costs.exit_share;
  tokens_seen_ = costs.tokens_seen;
  calibrated_ = true;
}

void Controller::seed_verify(const std::vector<double>& verify_s, int64_t samples) {
  verify_.assign(verify_s.size(), Ewma(0.1));
  for (size_t i = 0; i < verify_s.size(); ++i) verify_[i].seed(verify_s[i], samples);
}

void Controller::on_round_trip(double seconds) {
  seconds = std::max(0.0, seconds);
  // A jump that stays is a new network: three samples in a row far above the mean replace it, or one below, since nothing
  // makes a round trip shorter than it is.
  const double mean = trip_.value_or(seconds), far = 0.3 * mean + 2e-3;
  if (seconds < mean - far) {
    trip_.seed(seconds);
    trip_outliers_ = 0;
    return;
  }
  if (seconds > mean + far) {
    if (++trip_outliers_ >= 3) {
      trip_.seed(seconds);
      trip_outliers_ = 0;
      return;
    }
  } else {
    trip_outliers_ = 0;
  }
  trip_.add(seconds);
}

void Controller::on_round(const RoundReport& r) {
  ++rounds_;
  if (r.clean_trip) on_round_trip(r.trip_s);
  if (static_cast<int>(verify_.size()) < r.width) verify_.resize(r.width, Ewma(0.1));
  if (r.width > 0) verify_[r.width - 1].add(r.verify_s);
  // Conditional acceptance per position: what the first rejected position and all before it say.
  // The own guess is the draft's token after its block, so it tells of one position more.
  const int positions = r.draft_len + (r.guessed ? 1 : 0);
  if (static_cast<int>(survive_.size()) < positions) survive_.resize(positions, Ewma(kSurviveRate));
  const auto saw = [&](int position, bool stood) {
    survive_[position].add(stood);
    agreement_.add(stood);
    ++tokens_seen_;
  };
  for (int i = 0; i < r.draft_len && i <= r.accepted; ++i) saw(i, i < r.accepted);
  if (r.guessed && r.accepted == r.draft_len) saw(r.draft_len, r.guess_hit);
  if (r.guessed) guess_hit_.add(r.guess_hit);
  if (r.guessed && !r.guess_hit && time_for_others(r.draft_len, costs()) >= 1) other_hit_.add(r.other_hit);
  if (r.hinted) hint_at_.add(r.hint_at);
  if (r.asked_hint && r.draft_len > 0) {
    hint_hit_.add(r.hinted && r.hint_hit);
    if (r.guessed) hint_only_.add(r.hinted && r.hint_hit && !r.guess_hit);
  }
}

void Controller::on_stream_token(double verify_s, std::optional<bool> expected) {
  if (verify_.empty()) verify_.resize(1, Ewma(0.1));
  verify_[0].add(verify_s);
  if (!expected) return;
  agreement_.add(*expected ? 1 : 0);
  ++tokens_seen_;
  for (Ewma& position : survive_) position.add(*expected ? 1 : 0);
}

Costs Controller::costs() const {
  Costs c;
  c.round_trip = round_trip();
  c.draft_step = draft_step();
  // Widths never seen lie on the line through their measured neighbours.
  const int n = static_cast<int>(verify_.size());
  c.verify.resize(n);
  int last = -1;
  for (int i = 0; i < n; ++i) {
    if (!verify_[i].count()) continue;
    const double here = verify_[i].value_or(0);
    for (int j = last + 1; j < i; ++j) {
      c.verify[j] = last < 0 ? here : c.verify[last] + (here - c.verify[last]) * (j - last) / (i - last);
    }
    c.verify[i] = here;
    last = i;
  }
  c.verify.resize(std::max(last + 1, 0));
  const double pooled = agreement_.value_or(0);
  c.survival = {1};
  for (int k = 0; k < std::max<int>(max_draft_len_ + 1, static_cast<int>(survive_.size())); ++k) {
    // A position's own record is drawn towards that of all positions, which has more entries.
    const bool known = k < static_cast<int>(survive_.size());
    const double weight = known ? std::min<double>(static_cast<double>(survive_[k].count()), 1 / kSurviveRate) : 0;
    const double own = known ? survive_[k].value_or(pooled) : pooled;
    c.survival.push_back(c.survival.back() * (weight * own + 20 * pooled) / (weight + 20));
  }
  c.hint_hit = hints_offered_ ? hint_hit_.value_or(0) : 0;
  c.guess_hit = guess_hit_.value_or(0.5 * c.survive(std::min(4, max_draft_len_)));
  c.other_hit = (1 - c.guess_hit) * other_hit_.value_or(0) * time_for_others(current_.draft_len, c);
  c.hint_not_guess = hints_offered_ ? hint_only_.value_or(0) : 0;
  c.hint_at = hint_at_.value_or(0.6);
  c.exit_share = hints_offered_ ? exit_share_ : 0;
  c.tokens_seen = tokens_seen_;
  return c;
}

double Controller::score(Mode mode, int draft_len, const Costs& costs) const {
  const Prediction p = predict(costs, mode, draft_len);
  return p.seconds_per_token + server_price_ * p.server_seconds_per_token;
}

double Controller::time_for_others(int draft_len, const Costs& c) const {
  constexpr int kOthers = 2;  // blocks beside the own guess's
  const double block = draft_len * c.draft_step;
  return block > 0 ? std::clamp((c.round_trip + c.pass(draft_len + 1) - block - c.draft_step) / (kOthers * block), 0.0, 1.0) : 1;
}

Costs Controller::cautious_costs() const {
  Costs c = costs();
  const double stands = calibrated_ ? 1 - kDoubt * std::max(0.0, 1 - static_cast<double>(tokens_seen_) / kSure) : 1;
  for (size_t k = 1; k < c.survival.size(); ++k) c.survival[k] *= std::pow(stands, k);
  return c;
}

Plan Controller::best_plan(const Costs& c, double* score_of_it) const {
  Plan best{Mode::kStreaming, 0};
  const double stream_score = score(Mode::kStreaming, 0, c);
  double best_score = stream_score * (1 - kStreamMargin);
  const int limit = std::max(1, std::min(max_draft_len_, cap_));
  for (int g = 1; g <= limit; ++g) {
    // The own guess is right when one token more than the block would have stood.
    Costs scaled = c;
    scaled.guess_hit = c.survive(g + 1);
    scaled.other_hit = (1 - scaled.guess_hit) * other_hit_.value_or(0) * time_for_others(g, c);
    scaled.hint_not_guess = std::min(c.hint_not_guess, 1 - scaled.guess_hit);
    for (Mode mode : {Mode::kOptimistic, Mode::kFull}) {
      if (mode == Mode::kFull && !hints_offered_) continue;
      const double s = score(mode, g, scaled);
      if (s < best_score) {
        best_score = s;
        best = {mode, g};
      }
    }
  }
  *score_of_it = best.streams() ? stream_score : best_score;
  return best;
}

bool Controller::would_stream() const {
  double ignored = 0;
  return best_plan(cautious_costs(), &ignored).streams();
}

Plan Controller::next_plan() {
  if (mode_ != Mode::kAdaptive) {
    const bool drafts = mode_ != Mode::kStreaming && mode_ != Mode::kPerCall;
    return current_ = {mode_, drafts ? std::min(max_draft_len_, cap_) : 0};
  }
  const Costs c = cautious_costs();
  double best_score = 0;
  const Plan best = best_plan(c, &best_score);
  ++rounds_in_plan_;
  if (!chosen_) {
    current_ = best;
    chosen_ = true;
    rounds_in_plan_ = 0;
  } else if (best.mode != current_.mode || best.draft_len != current_.draft_len) {
    const bool kind_changes = best.streams() != current_.streams();
    const double now = score(current_.mode, current_.draft_len, c);
    // Changing between streams and drafts empties the pipe, so it waits for a trial of ten rounds.
    const bool allowed = !kind_changes || rounds_in_plan_ >= 10 || rounds_ < 3;
    if (allowed && best_score < now * (1 - kMargin)) {
      switches_ += kind_changes;
      current_ = best;
      rounds_in_plan_ = 0;
    }
  }
  return with_hint_trial(current_);
}

Plan Controller::with_hint_trial(Plan plan) {
  if (!hints_offered_ || plan.mode != Mode::kOptimistic) {
    rounds_without_hints_ = 0;
    return plan;
  }
  if (++rounds_without_hints_ > kHintTrialEvery) plan.mode = Mode::kFull;
  if (rounds_without_hints_ >= kHintTrialEvery + kHintTrialRounds) rounds_without_hints_ = 0;
  return plan;
}

std::string Controller::explain() const {
  const Costs c = costs();
  std::string text = fmt::format(
      "round trip {:.1f} ms, draft step {:.2f} ms, pass {:.1f} ms (1 token) {:.1f} ms ({} tokens), acceptance {:.2f}, "
      "own guess {:.2f}, hint {:.2f}\n",
      c.round_trip * 1e3, c.draft_step * 1e3, c.pass(1) * 1e3, c.pass(current_.draft_len + 1) * 1e3,
      current_.draft_len + 1, c.survive(1), c.guess_hit, c.hint_hit);
  for (Mode mode : kAllModes) {
    if (mode == Mode::kAdaptive || ((mode == Mode::kHint || mode == Mode::kFull) && !hints_offered_)) continue;
    const int g = current_.drafts() ? current_.draft_len : std::min(4, max_draft_len_);
    const Prediction p = predict(c, mode, g);
    text += fmt::format("  {:<10} predicted {:7.2f} ms/token, server {:6.2f} ms/token{}\n", mode_name(mode),
                        p.seconds_per_token * 1e3, p.server_seconds_per_token * 1e3,
                        mode == current_.mode ? "  <- chosen" : "");
  }
  return text;
}

}  // namespace callie::edge_cloud
