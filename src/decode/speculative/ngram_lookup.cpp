#include "decode/speculative/ngram_lookup.h"

#include <algorithm>

namespace callie::decode {

void NgramLookup::follow(std::span<const int32_t> tokens) {
  const bool extends = tokens.size() >= tokens_.size() && std::equal(tokens_.begin(), tokens_.end(), tokens.begin());
  if (!extends) {
    tokens_.clear();
    last_.clear();
    previous_.clear();
  }
  for (size_t i = tokens_.size(); i < tokens.size(); ++i) {
    // The key that ends just before token i becomes findable with token i as its continuation.
    previous_.push_back(-1);
    if (i >= kMinKey) {
      auto [place, fresh] = last_.try_emplace(key(tokens[i - 2], tokens[i - 1]), static_cast<int32_t>(i));
      if (!fresh) {
        previous_[i] = place->second;
        place->second = static_cast<int32_t>(i);
      }
    }
    tokens_.push_back(tokens[i]);
  }
}

int NgramLookup::match_length(int32_t end, std::span<const int32_t> pending) const {
  const auto n = static_cast<int32_t>(tokens_.size()), n_pending = static_cast<int32_t>(pending.size());
  const auto from_end = [&](int32_t i) { return i < n_pending ? pending[n_pending - 1 - i] : tokens_[n + n_pending - 1 - i]; };
  const int32_t most = std::min(kLongestMatch, end);
  int32_t length = 0;
  while (length < most && tokens_[end - 1 - length] == from_end(length)) ++length;
  return length;
}

NgramLookup::Match NgramLookup::find(int min_match, int64_t most, std::span<const int32_t> pending) const {
  const size_t n = tokens_.size(), p = pending.size();
  if (n < kMinKey || most < 1) return {};
  const int32_t before_last = p >= 2 ? pending[p - 2] : tokens_[n + p - 2];
  const auto place = last_.find(key(before_last, p >= 1 ? pending[p - 1] : tokens_[n - 1]));
  if (place == last_.end()) return {};
  int best = 0;
  int32_t best_at = -1;
  int32_t at = place->second;
  for (int i = 0; at >= 0 && i < kMaxCandidates && best < kLongestMatch; ++i, at = previous_[at]) {
    const int length = match_length(at, pending);
    if (length > best) {
      best = length;
      best_at = at;
    }
  }
  if (best < min_match) return {};
  const auto count = std::min<int64_t>(most, static_cast<int64_t>(n) - best_at);
  return {best, std::span(tokens_).subspan(best_at, count)};
}

}  // namespace callie::decode
