#include "decode/speculative/ngram_lookup.h"

#include <gtest/gtest.h>

#include "core/philox.h"

namespace callie::decode {
namespace {

// The definition, by brute force: the latest place whose preceding tokens agree longest with the end.
NgramLookup::Match by_definition(std::span<const int32_t> tokens, int min_match, int64_t most) {
  const auto n = static_cast<int64_t>(tokens.size());
  NgramLookup::Match best;
  for (int64_t end = n - 1; end >= 2; --end) {
    int length = 0;
    while (length < end && length < 64 && tokens[end - 1 - length] == tokens[n - 1 - length]) ++length;
    if (length > best.length) best = {length, tokens.subspan(end, std::min(most, n - end))};
  }
  return best.length >= min_match ? best : NgramLookup::Match();
}

TEST(NgramLookup, FindsTheLongestLatestMatch) {
  SequentialRng rng(1, Purpose::kTest);
  for (int round = 0; round < 200; ++round) {
    NgramLookup lookup;
    std::vector<int32_t> tokens;
    const uint32_t alphabet = 2 + rng.next_u32() % 9;
    for (int i = 0; i < 70; ++i) {
      tokens.push_back(static_cast<int32_t>(rng.next_u32() % alphabet));
      if (i % 3 != 0) continue;  // several tokens at a time, as after an accepted draft
      lookup.follow(tokens);
      const auto found = lookup.find(2, 5);
      const auto expected = by_definition(tokens, 2, 5);
      ASSERT_EQ(found.length, expected.length);
      ASSERT_TRUE(std::equal(found.continuation.begin(), found.continuation.end(), expected.continuation.begin(),
                             expected.continuation.end()));
    }
  }
}

TEST(NgramLookup, PendingTokensAreLookedUpToo) {
  SequentialRng rng(2, Purpose::kTest);
  for (int round = 0; round < 200; ++round) {
    std::vector<int32_t> tokens, pending;
    for (int i = 0; i < 60; ++i) tokens.push_back(static_cast<int32_t>(rng.next_u32() % 5));
    for (uint32_t i = rng.next_u32() % 4; i > 0; --i) pending.push_back(static_cast<int32_t>(rng.next_u32() % 5));
    NgramLookup lookup;
    lookup.follow(tokens);
    const auto found = lookup.find(2, 4, pending);
    if (found.length == 0) continue;
    std::vector<int32_t> all = tokens;
    all.insert(all.end(), pending.begin(), pending.end());
    // What is found is followed by the continuation, and as long as said.
    const auto n = static_cast<int64_t>(tokens.size());
    int longest = 0;
    for (int64_t end = 2; end < n; ++end) {
      int length = 0;
      while (length < end && tokens[end - 1 - length] == all[all.size() - 1 - length]) ++length;
      longest = std::max(longest, length);
    }
    EXPECT_EQ(found.length, longest);
    ASSERT_FALSE(found.continuation.empty());
  }
}

TEST(NgramLookup, ForgetsATextThatIsNoPrefix) {
  NgramLookup lookup;
  lookup.follow(std::vector<int32_t>{1, 2, 3, 1, 2});
  EXPECT_EQ(lookup.find(2, 4).continuation.front(), 3);
  lookup.follow(std::vector<int32_t>{7, 8, 9, 1, 2});
  EXPECT_EQ(lookup.find(2, 4).length, 0);
}

}  // namespace
}  // namespace callie::decode
