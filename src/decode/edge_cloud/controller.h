#pragma once

#include <array>
#include <string>
#include <vector>

#include "decode/edge_cloud/clock.h"
#include "decode/edge_cloud/mode.h"
#include "decode/edge_cloud/outcome.h"
#include "decode/edge_cloud/predictor.h"

namespace callie::edge_cloud {

/// A running mean that forgets: the first `1/rate` samples weigh alike.
class Ewma {
 public:
  explicit Ewma(double rate = 0.1) : rate_(rate) {}
  /// Starts at `prior`, which weighs like `samples` samples.
  Ewma(double rate, double prior, int64_t samples) : rate_(rate), value_(prior), count_(samples) {}
  void add(double x) {
    ++count_;
    value_ += (x - value_) * (1.0 / count_ > rate_ ? 1.0 / count_ : rate_);
  }
  void seed(double x, int64_t samples = 1) {
    value_ = x;
    count_ = samples;
  }
  double value_or(double fallback) const { return count_ ? value_ : fallback; }
  int64_t count() const { return count_; }

 private:
  double rate_, value_ = 0;
  int64_t count_ = 0;
};

/// What a round taught.
struct RoundReport {
  int draft_len = 0;
  int accepted = 0;
  double trip_s = 0;    ///< send to verdict, less queue and pass
  bool clean_trip = true;  ///< the block was sent to an idle server, so `trip_s` is a round trip
  double verify_s = 0;
  int width = 1;          ///< positions of the pass; 0: it rebuilt a cache and tells nothing of passes
  bool guessed = false, guess_hit = false;
  bool other_hit = false;   ///< another outcome than the own guess and the hint, and a block was drafted for it
  bool asked_hint = false;  ///< the round's plan wanted hints; the others tell nothing of them
  bool hinted = false, hint_hit = false;
  double hint_at = 0;   ///< share of the pass after which the first hint was ready
};

/// Measures a session and chooses each round's plan: the mode and draft length with the least predicted time between
/// tokens plus `server_price` times the server's. Keeps its choice until another is better by a margin.
class Controller {
 public:
  Controller(Mode mode, int max_draft_len, double server_price);

  /// Start values, from a saved calibration or the server's own table. Times in seconds.
  void seed(const Costs& costs);
  void seed_verify(const std::vector<double>& verify_s, int64_t samples = 1);
  void set_hints_offered(bool offered) { hints_offered_ = offered; }
  void set_max_draft(int tokens) { cap_ = tokens; }

  void on_draft_step(double seconds) { draft_step_.add(seconds); }
  /// A measured round trip, in seconds.
  void on_round_trip(double seconds);
  /// Time from Open to Opened less the pass: the first connection's own round trips are in it.
  void on_opening(double seconds) { opening_trip_ = seconds / 2; }
  void on_round(const RoundReport& report);
  /// Hint and own guess named different outcomes and one of them was right.
  void on_dispute(int confidence_q8, bool hint_was_right) { dispute_[bin(confidence_q8)].add(hint_was_right); }
  /// Whom to follow when they differ.
  bool trusts_hint(int confidence_q8) const { return dispute_[bin(confidence_q8)].value_or(0.5) >= 0.5; }
  /// A streamed token: its pass, and whether the draft had expected it (nullopt: it had no guess ready).
  void on_stream_token(double verify_s, std::optional<bool> expected);

  /// The plan of the next round.
  Plan next_plan();
  /// Streaming looks best.
  bool would_stream() const;
  /// Everything measured, with defaults where nothing was.
  Costs costs() const;
  double round_trip() const { return trip_.value_or(opening_trip_); }
  double draft_step() const { return draft_step_.value_or(0.005); }
  double hint_hit_rate() const { return hint_hit_.value_or(0.5); }
  double guess_hit_rate() const { return guess_hit_.value_or(0.5); }
  int64_t switches() const { return switches_; }
  /// The decision and the predictions it rests on, one line a mode.
  std::string explain() const;

 private:
  static int bin(int confidence_q8) { return confidence_q8 < 0 ? 0 : confidence_q8 > 255 ? 3 : confidence_q8 / 64; }
  /// Streaming is safe and shows the acceptance as well: drafts that only a short calibration speaks for must promise more.
  Costs cautious_costs() const;
  /// The part of another outcome's block that is drafted before the verdict, behind the own guess's.
  double time_for_others(int draft_len, const Costs& costs) const;
  Plan best_plan(const Costs& costs, double* score_of_it) const;
  double score(Mode mode, int draft_len, const Costs& costs) const;
  /// The plan, or the same with hints when they have not been tried for long.
  Plan with_hint_trial(Plan plan);

  const Mode mode_;
  const int max_draft_len_;
  const double server_price_;
  bool hints_offered_ = false;
  int cap_ = 1 << 20;

  Ewma trip_{0.25}, draft_step_{0.05}, guess_hit_{0.05}, hint_at_{0.1};
  Ewma hint_hit_{0.03, 0.4, 10}, hint_only_{0.02, 0.15, 10}, agreement_{0.01, 0.8, 4};
  Ewma other_hit_{0.05, 0.25, 4};  // of the rounds that the own guess missed, given the time to draft for others
  std::array<Ewma, 4> dispute_{Ewma{0.05, 0.5, 4}, Ewma{0.05, 0.5, 4}, Ewma{0.05, 0.6, 4}, Ewma{0.05, 0.7, 4}};
  std::vector<Ewma> verify_, survive_;
  double exit_share_ = 0;  // exits' cost, from a calibration
  int64_t tokens_seen_ = 0;  // whose acceptance was seen, in this session or before
  bool calibrated_ = false;
  double opening_trip_ = 0.05;  // counts until a round trip was measured
  int trip_outliers_ = 0;
  Plan current_;
  bool chosen_ = false;
  int rounds_in_plan_ = 0;
  int rounds_without_hints_ = 0;  // since hints were last tried
  int64_t rounds_ = 0;
  int64_t switches_ = 0;
};

}  // namespace callie::edge_cloud
