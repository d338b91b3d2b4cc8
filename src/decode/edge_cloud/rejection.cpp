#include "decode/edge_cloud/rejection.h"

#include <algorithm>

namespace callie::edge_cloud {
namespace {

// A token by weights that need not sum to one; -1 when all are zero.
template <typename Weight>
TokenId draw(int vocab, const Weight& weight, double uniform) {
  double sum = 0;
  for (int t = 0; t < vocab; ++t) sum += weight(t);
  double left = uniform * sum;
  TokenId last = -1;
  for (int t = 0; t < vocab; ++t) {
    const double w = weight(t);
    if (w <= 0) continue;
    last = t;
    left -= w;
    if (left < 0) break;
  }
  return last;
}

}  // namespace

Outcome reject_and_resample(std::span<const TokenId> draft, std::span<const float> q, std::span<const float> p, int vocab,
                            const std::function<double()>& uniform) {
  const auto g = static_cast<int>(draft.size());
  for (int i = 0; i <= g; ++i) {
    const auto target = p.subspan(static_cast<size_t>(i) * vocab, vocab);
    if (i == g) return {g, draw(vocab, [&](int t) { return static_cast<double>(target[t]); }, uniform())};
    const auto drafted = q.subspan(static_cast<size_t>(i) * vocab, vocab);
    // u < p / q without the division: q may be 0 only where the token was not drawn from q.
    if (uniform() * drafted[draft[i]] < target[draft[i]]) continue;
    const TokenId next =
        draw(vocab, [&](int t) { return std::max(0.0, static_cast<double>(target[t]) - drafted[t]); }, uniform());
    // No residual: p and q are equal but for rounding, and so is any draw from p.
    if (next >= 0) return {i, next};
    return {i, draw(vocab, [&](int t) { return static_cast<double>(target[t]); }, uniform())};
  }
  return {};
}

}  // namespace callie::edge_cloud
