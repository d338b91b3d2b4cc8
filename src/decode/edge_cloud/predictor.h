#pragma once

#include <vector>

#include "decode/edge_cloud/mode.h"

namespace callie::edge_cloud {

/// What the closed forms are computed from. Times in seconds. Measured by the controller of a running session, or fitted
/// by the bench from a whole run.
struct Costs {
  double round_trip = 0;
  double draft_step = 0;
  std::vector<double> verify;    ///< [m-1] one pass over m positions
  std::vector<double> survival;  ///< [k] probability that the first k draft tokens stand; survival[0] = 1
  double hint_at = 0.5;          ///< when the useful hint is sent, as a share of the pass
  double hint_hit = 0;           ///< share of rounds whose last hint is the verdict
  double guess_hit = 0;          ///< share of rounds whose verdict is the client's own first guess
  double other_hit = 0;          ///< share of rounds whose verdict is another outcome that a block was drafted for
  double hint_not_guess = 0;     ///< share of rounds where the hint is right and the own guess is not
  double exit_share = 0;         ///< exits' cost as a share of the pass
  int64_t tokens_seen = 0;       ///< drafted or streamed ones that `survival` rests on

  /// T_v(m), linear between measured widths and beyond them.
  double pass(int m) const;
  /// P(first k drafts stand), extended geometrically beyond what was measured.
  double survive(int k) const;
  /// Expected tokens of a round with a draft of g, the bonus included: the sum of survive(0..g).
  double tokens(int g) const;
};

struct Prediction {
  double seconds_per_token = 0;
  double server_seconds_per_token = 0;
};

/// Expected time between tokens in a mode with a fixed draft length (docs/edge-cloud.md, "Closed forms").
Prediction predict(const Costs& costs, Mode mode, int draft_len);

/// The round trip above which streaming beats synchronous speculation: E T(1) - T(g+1) - g t_d; may be negative.
double break_even_round_trip(const Costs& costs, int draft_len);

}  // namespace callie::edge_cloud
