#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/philox.h"

namespace callie {
namespace {

std::vector<float> random_logits(int n, uint64_t seed) {
  SequentialRng rng(seed, Purpose::kTest);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = static_cast<float>(8 * rng.next_double() - 4);
  return logits;
}

int32_t choose(Sampler& sampler, const std::vector<float>& logits) {
  auto token = sampler.choose(logits);
  EXPECT_TRUE(token.ok()) << token.status().message();
  return token.ok() ? *token : -1;
}

SamplingOptions plain(float temperature) {
  SamplingOptions options;
  options.temperature = temperature;
  options.top_k = 0;
  options.top_p = 1;
  return options;
}

TEST(Sampler, GreedyTakesTheLowestOfEqualMaxima) {
  Sampler sampler(plain(0));
  EXPECT_EQ(choose(sampler, {1, 3, 2, 3}), 1);
}

// arg-max of logit / T + Gumbel noise is a draw from softmax(logits / T) (Gumbel-max): frequencies against the closed form.
TEST(Sampler, DrawsFromTheSoftmax) {
  const std::vector<float> logits = {0.5f, -1.0f, 2.0f, 0.0f, 1.0f};
  for (float temperature : {0.7f, 1.5f}) {
    double total = 0;
    for (float logit : logits) total += std::exp(logit / temperature);
    SamplingOptions options = plain(temperature);
    constexpr int kDraws = 40000;
    std::map<int32_t, int> counts;
    for (int i = 0; i < kDraws; ++i) {
      options.seed = i;
      Sampler sampler(options);
      ++counts[choose(sampler, logits)];
    }
    double chi_square = 0;
    for (size_t t = 0; t < logits.size(); ++t) {
      const double expected = kDraws * std::exp(logits[t] / temperature) / total;
      chi_square += (counts[t] - expected) * (counts[t] - expected) / expected;
    }
    EXPECT_LT(chi_square, 18.47);  // p = 0.001 at four degrees of freedom
  }
}

TEST(Sampler, TopKTopPAndMinPKeepWhatTheyShould) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.25f), std::log(0.15f), std::log(0.07f), std::log(0.03f)};
  const auto seen = [&](SamplingOptions options) {
    std::map<int32_t, int> counts;
    for (int i = 0; i < 3000; ++i) {
      options.seed = i;
      Sampler sampler(options);
      ++counts[choose(sampler, logits)];
    }
    return counts.size();
  };
  SamplingOptions options = plain(1);
  EXPECT_EQ(seen(options), 5u);
  options.top_k = 2;
  EXPECT_EQ(seen(options), 2u);
  options = plain(1);
  options.top_p = 0.8f;  // 0.5 + 0.25 < 0.8 <= 0.9
  EXPECT_EQ(seen(options), 3u);
  options = plain(1);
  options.min_p = 0.2f;  // at least 0.1
  EXPECT_EQ(seen(options), 3u);
}

// Filters change which tokens may win, never the noise of those that stay.
TEST(Sampler, FiltersShareTheNoise) {
  const auto logits = random_logits(500, 3);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SamplingOptions all = plain(0.8f), some = plain(0.8f);
    all.seed = some.seed = seed;
    some.top_k = 50;
    Sampler a(all), b(some);
    const int32_t free = choose(a, logits), kept = choose(b, logits);
    int better = 0;
    for (float logit : logits) better += logit > logits[free];
    if (better < 50) {
      EXPECT_EQ(free, kept);
    }
  }
}

TEST(Sampler, IsAFunctionOfSeedChoiceAndPosition) {
  const auto logits = random_logits(300, 5);
  SamplingOptions options = plain(1);
  options.seed = 11;
  Sampler a(options), resumed(options, nullptr, 3);
  std::vector<int32_t> tokens;
  for (int i = 0; i < 6; ++i) {
    tokens.push_back(choose(a, logits));
    ASSERT_TRUE(a.accept(tokens.back()).ok());
  }
  for (int i = 3; i < 6; ++i) {
    EXPECT_EQ(choose(resumed, logits), tokens[i]) << i;
    ASSERT_TRUE(resumed.accept(tokens[i]).ok());
  }
  options.choice = 1;
  Sampler other(options);
  int same = 0;
  for (int i = 0; i < 6; ++i) {
    const int32_t token = choose(other, logits);
    same += token == tokens[i];
    ASSERT_TRUE(other.accept(token).ok());
  }
  EXPECT_LT(same, 6);
}

TEST(Sampler, PenaltiesAndBias) {
  SamplingOptions options = plain(0);
  options.repeat_penalty = 2;
  Sampler sampler(options);
  const std::vector<float> logits = {3, 2, -1};
  EXPECT_EQ(choose(sampler, logits), 0);
  ASSERT_TRUE(sampler.accept(0).ok());
  EXPECT_EQ(choose(sampler, logits), 1);  // 3 / 2 < 2
  Sampler copy = sampler;
  ASSERT_TRUE(sampler.accept(1).ok());
  EXPECT_EQ(choose(sampler, logits), 0);  // 1.5 > 1
  EXPECT_EQ(choose(copy, logits), 1);     // a clone goes its own way

  options = plain(0);
  options.frequency_penalty = 0.6f;
  Sampler counting(options);
  ASSERT_TRUE(counting.accept(0).ok());
  EXPECT_EQ(choose(counting, logits), 0);  // 2.4 > 2
  ASSERT_TRUE(counting.accept(0).ok());
  EXPECT_EQ(choose(counting, logits), 1);  // 1.8 < 2

  options = plain(0);
  options.logit_bias = {{2, 5.0f}};
  Sampler biased(options);
  EXPECT_EQ(choose(biased, logits), 2);
}

TEST(Sampler, RefusesBadOptions) {
  SamplingOptions options;
  options.top_p = 0;
  EXPECT_NE(options.validate(10).message().find("top_p"), std::string::npos);
  options = {};
  options.logit_bias = {{10, 1.0f}};
  EXPECT_NE(options.validate(10).message().find("logit_bias"), std::string::npos);
  options = {};
  options.temperature = -1;
  EXPECT_FALSE(options.validate(10).ok());
}

TEST(Sampler, Logprobs) {
  const std::vector<float> logits = {1, 2, 3};
  float chosen = 0;
  const auto best = Sampler::top_logprobs(logits, 2, 0, &chosen);
  const double total = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0].token, 2);
  EXPECT_NEAR(best[0].logprob, std::log(std::exp(3.0) / total), 1e-6);
  EXPECT_NEAR(chosen, std::log(std::exp(1.0) / total), 1e-6);
}

}  // namespace
}  // namespace callie
