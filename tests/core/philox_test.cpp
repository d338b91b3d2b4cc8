#include "core/philox.h"

#include <gtest/gtest.h>

namespace callie {
namespace {

// Known answers of Random123's kat_vectors for philox4x32 10 rounds.
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRng, DependsOnEveryPartOfTheKey) {
  const CounterRng base(7, Purpose::kSampling, 0);
  EXPECT_EQ(base.words(3, 1), CounterRng(7, Purpose::kSampling, 0).words(3, 1));
  EXPECT_NE(base.words(3, 1), CounterRng(8, Purpose::kSampling, 0).words(3, 1));
  EXPECT_NE(base.words(3, 1), CounterRng(7, Purpose::kSampling, 1).words(3, 1));
  EXPECT_NE(base.words(3, 1), CounterRng(7, Purpose::kTest, 0).words(3, 1));
  EXPECT_NE(base.words(3, 1), base.words(4, 1));
  EXPECT_NE(base.words(3, 1), base.words(3, 2));
}

TEST(CounterRng, UniformStaysInsideTheOpenInterval) {
  EXPECT_GT(CounterRng::uniform(0), 0.0f);
  EXPECT_LT(CounterRng::uniform(~0u), 1.0f);
  SequentialRng rng(1, Purpose::kTest);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) sum += rng.next_double();
  EXPECT_NEAR(sum / 100000, 0.5, 5 * 0.2887 / 316.2);  // five standard errors of a uniform mean
}

}  // namespace
}  // namespace callie
