#include "decode/edge_cloud/predictor.h"

#include <algorithm>
#include <cmath>

namespace callie::edge_cloud {

double Costs::pass(int m) const {
  if (verify.empty()) return 0;
  const int n = static_cast<int>(verify.size());
  if (m <= n) return verify[std::max(m, 1) - 1];
  const double slope = n > 1 ? std::max(0.0, (verify[n - 1] - verify[0]) / (n - 1)) : 0.0;
  return verify[n - 1] + (m - n) * slope;
}

double Costs::survive(int k) const {
  const int n = static_cast<int>(survival.size());
  if (k < n) return survival[k];
  if (n < 2) return k == 0 ? 1.0 : 0.0;
  const double ratio = survival[n - 2] > 0 ? std::min(1.0, survival[n - 1] / survival[n - 2]) : 0.0;
  return survival[n - 1] * std::pow(ratio, k - n + 1);
}

double Costs::tokens(int g) const {
  double sum = 0;
  for (int k = 0; k <= g; ++k) sum += survive(k);
  return sum;
}

namespace {

struct Upload {
  double pass, trip;
  double guess_draft;  ///< from a verdict to the block that follows the own guess
  double miss;         ///< a round that no guess shortened
  double guess_hit, hint_only_hit;
  double hint_round;   ///< a round that only the hint shortened
};

/// Mean round with blocks uploaded before the verdict they assume. A block is drafted while its predecessor is in
/// flight, so a round's length x depends on the one before: x' = max(pass, guess_draft + trip + pass - x), and
/// max(pass, guess_draft) after a miss. The states are the few lengths this reaches; their shares are iterated.
double upload_round(const Upload& u) {
  struct State {
    double length, share;
  };
  std::vector<State> states{{-1, 1}};  // a negative length stands for a round without upload
  const double any = u.guess_hit + u.hint_only_hit;
  double mean = u.miss;
  for (int step = 0; step < 64; ++step) {
    std::vector<State> next{{-1, 0}};
    const auto add = [&](double length, double share) {
      for (State& s : next) {
        if (std::abs(s.length - length) < 1e-9) {
          s.share += share;
          return;
        }
      }
      next.push_back({length, share});
    };
    mean = 0;
    for (const State& s : states) {
      const double after_guess = s.length < 0 ? std::max(u.pass, u.guess_draft)
                                              : std::max(u.pass, u.guess_draft + u.trip + u.pass - s.length);
      mean += s.share * (u.guess_hit * after_guess + u.hint_only_hit * u.hint_round + (1 - any) * u.miss);
      add(after_guess, s.share * u.guess_hit);
      add(u.hint_round, s.share * u.hint_only_hit);
      add(-1, s.share * (1 - any));
    }
    states = std::move(next);
  }
  return mean;
}

}  // namespace

Prediction predict(const Costs& c, Mode mode, int draft_len) {
  const double trip = c.round_trip;
  if (mode == Mode::kPerCall) return {trip + c.pass(1), c.pass(1)};
  if (mode == Mode::kStreaming) return {c.pass(1), c.pass(1)};
  const bool hints = mode == Mode::kHint || mode == Mode::kFull;
  const double pass = c.pass(draft_len + 1) * (hints ? 1 + c.exit_share : 1);
  const double tokens = c.tokens(draft_len);
  const double draft = draft_len * c.draft_step;
  // An own guess costs one more step: the draft's token after its own block.
  const double guess_draft = draft + c.draft_step;
  const double miss = draft + trip + pass;
  // After a wrong guess another outcome's block may be there.
  const double guess_miss = c.guess_hit < 1 ? miss - draft * std::min(1.0, c.other_hit / (1 - c.guess_hit)) : miss;
  const double guess_hit = std::max(trip + pass, guess_draft);
  const double hint_ready = trip + c.hint_at * pass + draft;
  const double hint_hit = std::max(trip + pass, hint_ready);
  double round = miss;
  const double g = c.guess_hit, h = c.hint_hit;
  switch (mode) {
    case Mode::kHint:
      round = h * hint_hit + (1 - h) * miss;
      break;
    case Mode::kOwnGuess:
      round = g * guess_hit + (1 - g) * guess_miss;
      break;
    case Mode::kOptimistic:
      round = upload_round({pass, trip, guess_draft, guess_miss, g, 0, 0});
      break;
    case Mode::kFull:
      round = upload_round({pass, trip, guess_draft, guess_miss, g, c.hint_not_guess, std::max(pass, hint_ready)});
      break;
    default:
      break;
  }
  return {round / tokens, pass / tokens};
}

double break_even_round_trip(const Costs& c, int draft_len) {
  return c.tokens(draft_len) * c.pass(1) - c.pass(draft_len + 1) - draft_len * c.draft_step;
}

}  // namespace callie::edge_cloud
