#pragma once

#include <cstdint>
#include <span>

namespace callie::edge_cloud {

using TokenId = int32_t;

/// What a verification pass decides: the first `accepted` draft tokens stand, and `next` follows them. An exit's
/// provisional outcome (a hint) has the same form.
struct Outcome {
  int accepted = 0;
  TokenId next = -1;

  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend auto operator<=>(const Outcome&, const Outcome&) = default;
};

/// The one acceptance rule, for exits and final layers, greedy and sampled alike: token i stands when it is what the
/// logits of row i choose. A token that ends the sequence is always `next`, so nothing is emitted after it.
///
///   draft      [g] tokens
///   choose(i)  the token that row i picks, for i in 0..g, called in ascending order; rows after the first rejection are
///              not asked for. Sampling uses the counter noise of the row's position.
///   ends(t)    true when t ends the sequence at its place
template <typename Choose, typename Ends>
Outcome accept(std::span<const TokenId> draft, Choose&& choose, Ends&& ends) {
  const int n_draft = static_cast<int>(draft.size());
  for (int i = 0;; ++i) {
    const TokenId token = choose(i);
    if (i == n_draft || token != draft[i] || ends(token)) return {i, token};
  }
}

}  // namespace callie::edge_cloud
