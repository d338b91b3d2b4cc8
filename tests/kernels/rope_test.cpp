#include "kernels/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>

#include "kernels/each_target.h"

namespace callie::kernels {
namespace {

/// Complex rotation by the angle that the table holds.
std::vector<double> twin(const RopeOptions& o, const std::vector<float>& table,
                         const std::vector<float>& x) {
  const int pairs = (o.rotary_dim ? o.rotary_dim : o.head_dim) / 2;
  std::vector<double> y(x.begin(), x.end());
  for (size_t head = 0; head < x.size(); head += o.head_dim) {
    for (int i = 0; i < pairs; ++i) {
      const size_t a = head + (o.style == RopeStyle::kHalf ? i : 2 * i);
      const size_t b = o.style == RopeStyle::kHalf ? a + pairs : a + 1;
      const std::complex<double> z =
          std::complex<double>(x[a], x[b]) * std::complex<double>(table[i], table[pairs + i]);
      y[a] = z.real();
      y[b] = z.imag();
    }
  }
  return y;
}

std::vector<float> table_of(const Rope& rope, int64_t position) {
  std::vector<float> table(rope.table_floats());
  rope.fill({&position, 1}, table.data());
  return table;
}

TEST(Rope, TurnsPairsOnEveryTarget) {
  on_each_target([](const std::string& target) {
    for (const RopeStyle style : {RopeStyle::kHalf, RopeStyle::kInterleaved}) {
      for (const auto& [dim, rotary] : std::vector<std::pair<int, int>>{
               {2, 0}, {30, 0}, {64, 0}, {80, 20}, {96, 66}, {128, 64}, {256, 0}}) {
        RopeOptions o;
        o.style = style;
        o.head_dim = dim;
        o.rotary_dim = rotary;
        const Rope rope = Rope::create(o).value();
        const std::vector<float> table = table_of(rope, 1234);
        const std::vector<float> x = random_floats(3 * dim, dim);
        GuardedRow y(x, 3);
        rope.apply(table.data(), y.data(), 3);
        const std::vector<double> expected = twin(o, table, x);
        // One product and one fused multiply-add: 2^-23 of the pair's length (up to 17 here).
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_NEAR(y.data()[i], expected[i], 2e-6) << target << " dim " << dim;
        ASSERT_TRUE(y.guards_intact());
      }
    }
  });
}

TEST(Rope, KeepsInnerProductsOfEqualDistance) {
  RopeOptions o;
  o.head_dim = 64;
  const Rope rope = Rope::create(o).value();
  const std::vector<float> q = random_floats(64, 1), k = random_floats(64, 2);
  double products[2];
  for (int i = 0; i < 2; ++i) {
    std::vector<float> a = q, b = k;
    rope.apply(table_of(rope, 100 + 1000 * i).data(), a.data(), 1);
    rope.apply(table_of(rope, 90 + 1000 * i).data(), b.data(), 1);
    products[i] = 0;
    for (int d = 0; d < 64; ++d) products[i] += double(a[d]) * b[d];
  }
  EXPECT_NEAR(products[0], products[1], 1e-5);
}

TEST(Rope, PositionZeroAndTheFirstFrequency) {
  RopeOptions o;
  o.head_dim = 8;
  const Rope rope = Rope::create(o).value();
  EXPECT_EQ(table_of(rope, 0), (std::vector<float>{1, 1, 1, 1, 0, 0, 0, 0}));
  const std::vector<float> table = table_of(rope, 3);
  EXPECT_FLOAT_EQ(table[0], std::cos(3.0));
  EXPECT_FLOAT_EQ(table[5], std::sin(3.0 * 0.1));
}

TEST(Rope, Llama3StretchesLowFrequenciesOnly) {
  RopeOptions o;
  o.head_dim = 128;
  o.base = 500000;
  const std::vector<float> plain = table_of(Rope::create(o).value(), 1);
  o.scaling = RopeScaling::kLlama3;
  o.factor = 8;
  o.original_context = 8192;
  const std::vector<float> scaled = table_of(Rope::create(o).value(), 8);
  const std::vector<float> unscaled = table_of(Rope::create(o).value(), 1);
  EXPECT_EQ(unscaled[64], plain[64]);                // turns > 4: kept
  EXPECT_FLOAT_EQ(scaled[64 + 63], plain[64 + 63]);  // turns < 1: eight times slower
  // Pair 32: frequency 500000^-0.5, 8192 / (2 pi / frequency) = 1.8438 turns, smooth = 0.28127.
  const double frequency = std::pow(500000.0, -0.5),
               smooth = (8192 * frequency / (2 * M_PI) - 1) / 3;
  EXPECT_FLOAT_EQ(unscaled[64 + 32], std::sin((1 - smooth) * frequency / 8 + smooth * frequency));
}

TEST(Rope, YarnInterpolatesSlowPairsAndScales) {
  RopeOptions o;
  o.head_dim = 64;
  o.scaling = RopeScaling::kYarn;
  o.factor = 4;
  o.original_context = 32768;
  o.base = 1000000;
  const std::vector<float> table = table_of(Rope::create(o).value(), 5);
  const double magnitude = 0.1 * std::log(4.0) + 1;
  EXPECT_FLOAT_EQ(table[0], std::cos(5.0) * magnitude);
  EXPECT_FLOAT_EQ(table[32 + 31], std::sin(5.0 * std::pow(1e6, -62.0 / 64) / 4) * magnitude);
}

TEST(Rope, SectionsFollowTheirAxis) {
  RopeOptions o;
  o.head_dim = 8;
  o.sections = {1, 2, 1};
  const Rope rope = Rope::create(o).value();
  const int64_t positions[] = {3, 5, 7};
  std::vector<float> table(8);
  rope.fill(positions, table.data());
  EXPECT_FLOAT_EQ(table[4], std::sin(3.0));
  EXPECT_FLOAT_EQ(table[5], std::sin(0.5));
  EXPECT_FLOAT_EQ(table[6], std::sin(0.05));
  EXPECT_FLOAT_EQ(table[7], std::sin(0.007));
}

TEST(Rope, RefusesWhatItCannotTurn) {
  RopeOptions o;
  o.head_dim = 64;
  o.rotary_dim = 63;
  EXPECT_FALSE(Rope::create(o).ok());
  o.rotary_dim = 66;
  EXPECT_FALSE(Rope::create(o).ok());
  o.rotary_dim = 0;
  o.factor = 0;
  EXPECT_FALSE(Rope::create(o).ok());
  o.factor = 2;
  o.scaling = RopeScaling::kYarn;
  EXPECT_FALSE(Rope::create(o).ok());
  o.scaling = RopeScaling::kNone;
  o.freq_factors = {1.0f};
  EXPECT_FALSE(Rope::create(o).ok());
  o.freq_factors.clear();
  o.sections = {3};
  EXPECT_FALSE(Rope::create(o).ok());
}

}  // namespace
}  // namespace callie::kernels
