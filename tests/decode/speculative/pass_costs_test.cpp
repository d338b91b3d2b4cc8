#include "decode/speculative/pass_costs.h"

#include <gtest/gtest.h>

#include "core/philox.h"

namespace callie::decode {
namespace {

double true_cost(int64_t rows) { return 0.03 * (rows <= 4 ? 1 + 0.04 * (rows - 1) : 1.12 + 0.13 * (rows - 4)); }

TEST(PassCosts, LearnsWidthsInAnyOrderUnderNoiseAndPauses) {
  SequentialRng rng(3, Purpose::kTest);
  PassCosts costs;
  EXPECT_FALSE(costs.known());
  for (int i = 0; i < 600; ++i) {
    const auto rows = static_cast<int64_t>(1 + rng.next_u32() % 9);
    double seconds = true_cost(rows) * (1 + 0.05 * (rng.next_double() - 0.5));
    if (i % 40 == 39) seconds *= 10;  // a pause of the machine
    costs.add(rows, seconds);
  }
  for (int64_t rows = 1; rows <= 9; ++rows) EXPECT_NEAR(costs.at(rows) / true_cost(rows), 1, 0.12) << rows;
}

TEST(PassCosts, TheScaleFollowsAllWidths) {
  PassCosts costs;
  for (int i = 0; i < 50; ++i) costs.add(1 + i % 6, true_cost(1 + i % 6));
  const double before = costs.at(1);
  for (int i = 0; i < 200; ++i) costs.add(5, 2 * true_cost(5));  // everything takes twice as long; only 5 is seen
  EXPECT_NEAR(costs.at(5) / true_cost(5), 2, 0.15);
  EXPECT_GT(costs.at(1), 1.3 * before);
}

TEST(PassCosts, BeyondTheTableIsALine) {
  PassCosts costs;
  costs.add(1, 0.01);
  EXPECT_GT(costs.at(2000), costs.at(1024));
  EXPECT_NEAR((costs.at(2000) - costs.at(1900)) / (costs.at(1900) - costs.at(1800)), 1, 1e-6);
}

}  // namespace
}  // namespace callie::decode
