#include "grad/adam.h"

#include <gtest/gtest.h>

#include <cmath>

namespace callie::grad {
namespace {

TEST(Adam, FirstStepMovesByTheLearningRateAgainstTheGradient) {
  Adam adam({0.1}, 2);
  std::vector<float> x = {1.0f, -2.0f};
  const std::vector<float> g = {0.003f, -50.0f};
  adam.step(g, x);
  EXPECT_NEAR(x[0], 0.9f, 1e-5);  // eps / |g| below 1e-5
  EXPECT_NEAR(x[1], -1.9f, 1e-6);
}

TEST(Adam, FindsTheMinimumOfAQuadratic) {
  Adam adam({0.05}, 3);
  std::vector<float> x = {4.0f, -3.0f, 0.5f};
  const float minimum[] = {1.0f, 2.0f, -1.0f};
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> g(3);
    for (int j = 0; j < 3; ++j) g[j] = 2 * (x[j] - minimum[j]) * (j + 1);
    adam.step(g, x);
  }
  for (int j = 0; j < 3; ++j) EXPECT_NEAR(x[j], minimum[j], 1e-2);
}

TEST(Adam, ResumedRunMakesTheSameSteps) {
  const AdamOptions options{0.01, 0.9, 0.99, 1e-8, 0.1};
  const auto gradient = [](int step) {
    return std::vector<float>{std::sin(float(step)), std::cos(3.0f * step)};
  };
  Adam whole(options, 2), first(options, 2), second(options, 2);
  std::vector<float> a = {1, 2}, b = a;
  for (int i = 0; i < 20; ++i) whole.step(gradient(i), a);
  for (int i = 0; i < 9; ++i) first.step(gradient(i), b);
  ASSERT_TRUE(second.restore(first.steps(), first.first_moment(), first.second_moment()).ok());
  for (int i = 9; i < 20; ++i) second.step(gradient(i), b);
  EXPECT_EQ(a, b);
}

TEST(Adam, RefusesAStateOfAnotherSize) {
  Adam adam({}, 2);
  const std::vector<float> three(3), two(2);
  EXPECT_FALSE(adam.restore(1, three, two).ok());
  EXPECT_FALSE(adam.restore(-1, two, two).ok());
  EXPECT_EQ(adam.steps(), 0);
}

}  // namespace
}  // namespace callie::grad
