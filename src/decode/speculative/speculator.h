#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "decode/speculative/acceptance.h"
#include "decode/speculative/drafter.h"
#include "decode/speculative/ngram_lookup.h"
#include "decode/speculative/pass_costs.h"

namespace callie::decode {

struct SpeculationOptions {
  /// Tokens of every draft; kAutomatic = as expected gain says, none included.
  static constexpr int kAutomatic = -1;
  int draft_len = kAutomatic;
  int max_draft = 15;  ///< of an automatic draft
  int min_match = 2;   ///< tokens that must agree before a look-up proposes what followed them
  int64_t catch_up = 0;  ///< tokens of a sequence that the draft model computes between two passes; 0 = no limit
};

/// Proposes drafts for one or more sequences, from a draft model and from prompt look-up, and decides for each step and
/// sequence which, and how long. Knows the target only by the time of its passes.
///
/// A round that emits E tokens in t seconds gains E - rate * t over going on at the current rate of tokens per second.
/// A source or a token more is taken while it adds to that gain; E comes from how often tokens as sure as these stood
/// so far, t from the measured pass times. The current rate counts for no more than the best draft of this round is
/// expected to reach, or a lucky stretch would make every draft look poor. When nothing gains, decoding is plain; then
/// trials may cost 0.8 % of the time and a tenth of what drafts have saved.
class Speculator {
 public:
  using Clock = std::function<double()>;  ///< seconds since any point
  static double steady_seconds();

  /// `model` may be null: look-up only. `target_bytes`: what one step of the target reads, for a first guess of times.
  Speculator(const SpeculationOptions& options, std::unique_ptr<Drafter> model, int64_t target_bytes,
             Clock clock = steady_seconds);

  struct Request {
    uint64_t sequence = 0;             ///< the caller's name for it
    std::span<const int32_t> tokens;   ///< all committed ones; what was added since the last proposal is learned from
    const Sampler* sampler = nullptr;  ///< state for the next position
    int64_t most = 0;                  ///< tokens that a draft may have at most
    std::vector<int32_t> draft;        ///< out
  };
  /// `other_rows`: rows of the next pass that belong to none of the requests. `soon`: sequences whose prompts are being
  /// computed and that will decode beside these.
  void propose(std::span<Request> requests, int64_t other_rows = 0, int64_t soon = 0);

  /// The target's pass over `rows` rows, drafts included, took so long.
  void passed(int64_t rows, double seconds);
  /// A pass that computed prompts too: it tells nothing of T(m) nor of the rate, since prompts are progress as well.
  void passed_with_prompts() { mixed_round_ = true; }
  /// The next proposal for the sequence begins a new generation; caches of what it has in common with the last are kept.
  void restart(uint64_t sequence);
  /// The sequence has ended.
  void forget(uint64_t sequence);

  const char* name() const { return model_ ? "draft" : "ngram"; }

 private:
  enum class Source { kNone, kLookup, kModel };
  struct Lane {
    NgramLookup lookup;
    size_t known = 0;                     // tokens at the last proposal
    std::vector<int32_t> looked_up;       // what look-up said then, used or not
    int match = 0;
    std::vector<int32_t> drafted;         // what the model said then
    std::vector<float> margins;
    Source source = Source::kNone;
    double acceptance = 0;                // of the model's tokens, lately
    int64_t samples = 0;                  // of it
    // The round being planned.
    Request* request = nullptr;
    Sampler sampler{SamplingOptions()};
    std::vector<int32_t> hints;           // for the draft model's next pass
    std::vector<double> survival;         // [k]: probability that the first k + 1 tokens stand, looked up or drafted
  };

  void learn(Lane& lane, std::span<const int32_t> tokens);
  void close_round();
  double draft_s(int64_t rows) const;
  /// What a guess costs for one of `batch` sequences that draft together.
  double guess_s(int64_t batch) const;
  double lag_s(int64_t lag) const;
  void catch_up(uint64_t sequence, int64_t tokens);
  /// The largest gain of `survival` drafted tokens over `rows` rows before them, and how many tokens that takes.
  double best_length(std::span<const double> survival, int64_t rows, int64_t* length) const;
  /// The largest gain of drafting 1..room tokens more, each standing with `acceptance`, when those before stand with
  /// `survival`.
  double gain_of_more(double survival, double acceptance, int64_t rows, int64_t room, double step_s) const;
  /// What a token of `batch` sequences takes less than plain when all of them draft up to `room` tokens.
  double saved_s(double acceptance, int64_t batch, int64_t room) const;
  void find_hints(Lane& lane, int64_t most) const;
  int64_t longest(const Lane& lane) const;
  void look_up(Lane& lane);
  /// The most tokens per second that a draft for this lane is expected to give, beside `n` sequences.
  double attainable_rate(const Lane& lane, int64_t n, double step_s) const;
  void choose_source(Lane& lane, int64_t rows, double step_s, int64_t batch);
  void run_model(std::vector<Lane*> lanes, int64_t rows);
  bool automatic() const { return options_.draft_len == SpeculationOptions::kAutomatic; }

  SpeculationOptions options_;
  std::unique_ptr<Drafter> model_;
  Clock clock_;
  double draft_share_;  // bytes of a draft step over those of a target step
  PassCosts verify_, draft_costs_;
  MarginAcceptance by_margin_ = typical_margin_acceptance();
  MatchAcceptance by_match_ = typical_match_acceptance();
  std::unordered_map<uint64_t, Lane> lanes_;
  double typical_acceptance_ = 0.85;
  double guesses_a_pass_ = 1;                // of the draft model; hints make it more
  double catch_up_s_ = 0;                    // of a token of a long tail; 0 = not measured yet
  double recent_rate_ = 0;                   // tokens per second
  double rate_ = 0;                          // the same, as far as this round can reach it
  double recent_tokens_ = 0, recent_s_ = 0;  // with forgetting
  double round_tokens_ = 0, round_s_ = 0;
  bool mixed_round_ = false;  // prompts were computed in it
  double round_plain_s_ = 0;  // what a token of it would have taken without a draft
  double trial_s_ = 0;        // time that trials may still cost
  bool first_trial_ = true;
};

}  // namespace callie::decode
