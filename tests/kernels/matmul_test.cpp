#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/matmul_kernels.h"
#include "kernels/random_packed.h"

namespace callie::kernels {
namespace {

struct Quantized {
  Quantized(const std::vector<float>& x, int64_t m, int64_t cols)
      : memory(static_cast<size_t>(quantized_rows_bytes(m, cols)) + 64) {
    rows.data = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    rows.m = m;
    rows.cols = cols;
    quantize_rows(x.data(), cols, rows, 0, m);
  }
  std::vector<uint8_t> memory;
  QuantizedRows rows;
};

struct Shape {
  int64_t rows, units;
};

/// Odd shapes: one row, partial last panels, an odd unit in direct families, several blocks.
std::vector<Shape> shapes(const PackedFamily& f) {
  if (f.is_super()) return {{1, 8}, {17, 8}, {33, 24}, {50, 40}};
  return {{1, 1}, {16, 2}, {23, 3}, {33, 17}, {50, 35}};
}

const std::vector<int64_t> kTokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 18, 21, 37};

class MatmulTest : public testing::TestWithParam<const MatmulKernels*> {};

/// Every rounding of the vector kernels is the scalar twin's (integer dots are exact, one fused multiply-add after
/// another), so the results must be equal bit for bit.
TEST_P(MatmulTest, EqualsTheScalarTwinBitForBit) {
  ASSERT_TRUE(set_matmul_kernels(GetParam()->name));
  ASSERT_EQ(active_matmul_kernels().name, GetParam()->name);
  uint32_t seed = 1;
  for (const NamedFamily& named : test_families()) {
    if (named.family.is_float()) continue;
    for (const Shape& shape : shapes(named.family)) {
      const int64_t cols = shape.units * kUnitColumns;
      const RandomPacked w(named.family, shape.rows, cols, ++seed);
      for (const int64_t m : kTokens) {
        if (m > 9 && shape.rows > 33 && m != 37) continue;
        const Quantized x(random_floats(m * cols, ++seed), m, cols);
        const int64_t ldy = shape.rows + 3;
        std::vector<float> want(static_cast<size_t>(m * ldy), 7.0f), got = want;
        scalar_matmul_kernels()->matmul(w.view, x.rows, 0, w.view.panels(), want.data(), ldy);
        matmul(w.view, x.rows, 0, w.view.panels(), got.data(), ldy);
        ASSERT_EQ(std::memcmp(want.data(), got.data(), want.size() * 4), 0)
            << named.name << " rows " << shape.rows << " units " << shape.units << " m " << m;
      }
    }
  }
}

TEST_P(MatmulTest, FloatPathEqualsTheScalarTwinBitForBit) {
  ASSERT_TRUE(set_matmul_kernels(GetParam()->name));
  uint32_t seed = 1000;
  for (const NamedFamily& named : test_families()) {
    for (const Shape& shape : shapes(named.family)) {
      const int64_t cols = shape.units * kUnitColumns + (named.family.is_float() ? 5 : 0);
      const RandomPacked w(named.family, shape.rows, cols, ++seed);
      for (const int64_t m : {1, 2, 3, 5, 8, 11}) {
        const int64_t ldx = cols + 2;
        const int64_t ldy = shape.rows + 1;
        const std::vector<float> x = random_floats(m * ldx, ++seed);
        std::vector<float> want(static_cast<size_t>(m * ldy), 7.0f), got = want;
        scalar_matmul_kernels()->matmul_f32(w.view, x.data(), ldx, m, 0, w.view.panels(),
                                            want.data(), ldy);
        matmul_f32(w.view, x.data(), ldx, m, 0, w.view.panels(), got.data(), ldy);
        ASSERT_EQ(std::memcmp(want.data(), got.data(), want.size() * 4), 0)
            << named.name << " rows " << shape.rows << " cols " << cols << " m " << m;
      }
    }
  }
}

/// A token's row of y must not depend on m, on its neighbours or on the panel ranges.
TEST_P(MatmulTest, BitsDoNotDependOnTheBatchOrTheSplit) {
  ASSERT_TRUE(set_matmul_kernels(GetParam()->name));
  for (const NamedFamily& named : test_families()) {
    const int64_t cols = 512, rows = 90, m = 43;
    const RandomPacked w(named.family, rows, cols, 5);
    const std::vector<float> x = random_floats(m * cols, 6);
    const auto run = [&](int64_t first, int64_t count, std::vector<int64_t> splits, float* y) {
      const std::vector<float> part(x.begin() + first * cols, x.begin() + (first + count) * cols);
      splits.push_back(w.view.panels());
      int64_t begin = 0;
      for (const int64_t end : splits) {
        if (named.family.is_float()) {
          matmul_f32(w.view, part.data(), cols, count, begin, end, y, rows);
        } else {
          const Quantized q(part, count, cols);
          matmul(w.view, q.rows, begin, end, y, rows);
        }
        begin = end;
      }
    };
    std::vector<float> whole(static_cast<size_t>(m * rows)), chunked(whole.size());
    run(0, m, {}, whole.data());
    for (const int64_t chunk : {1, 2, 3, 5, 8, 13, 20}) {
      for (int64_t t = 0; t < m; t += chunk) {
        run(t, std::min(chunk, m - t), {chunk % 3 + 1, 5}, chunked.data() + t * rows);
      }
      ASSERT_EQ(std::memcmp(whole.data(), chunked.data(), whole.size() * 4), 0)
          << named.name << " chunks of " << chunk;
    }
  }
}

/// The same check catches a sum in another order: adding the units from the last to the first changes some bits.
TEST(MatmulInvariance, AnotherOrderOfUnitsIsVisible) {
  const PackedFamily family = test_families()[7].family;
  const int64_t cols = 512, rows = 64;
  const RandomPacked w(family, rows, cols, 5);
  const std::vector<float> x = random_floats(cols, 6);
  int different = 0;
  for (int64_t row = 0; row < rows; ++row) {
    float up = 0.0f, down = 0.0f;
    UnitValues unit;
    const auto add = [&](int64_t u, float y) {
      read_unit(w.view, row, u, unit);
      float sum = 0.0f;
      for (int64_t k = 0; k < kUnitColumns; ++k) {
        sum = std::fma(unit_weight(family, unit, k), x[u * kUnitColumns + k], sum);
      }
      return y + sum;
    };
    for (int64_t u = 0; u < w.view.units(); ++u) up = add(u, up);
    for (int64_t u = w.view.units() - 1; u >= 0; --u) down = add(u, down);
    different += std::memcmp(&up, &down, 4) != 0;
  }
  EXPECT_GT(different, 0);
}

/// Against a double-precision product of the decoded weights and the quantized activations. Each of the `units` fused
/// multiply-adds (two with a min, four with two groups) rounds to within half a unit in the last place of a partial sum
/// that is at most Σ|w|·|x|; scales, mins and sums of activations carry one rounding each.
TEST_P(MatmulTest, IsTheProductOfTheDecodedWeights) {
  ASSERT_TRUE(set_matmul_kernels(GetParam()->name));
  for (const NamedFamily& named : test_families()) {
    if (named.family.is_float()) continue;
    const int64_t cols = 768, rows = 20, m = 3;
    const RandomPacked w(named.family, rows, cols, 15);
    const Quantized x(random_floats(m * cols, 16), m, cols);
    std::vector<float> y(static_cast<size_t>(m * rows));
    matmul(w.view, x.rows, 0, w.view.panels(), y.data(), rows);
    for (int64_t t = 0; t < m; ++t) {
      for (int64_t row = 0; row < rows; ++row) {
        double want = 0, magnitude = 0;
        for (int64_t u = 0; u < w.view.units(); ++u) {
          const uint8_t* record = x.rows.record(0, u);
          float scale;
          std::memcpy(&scale, record + 32 * m + 4 * t, 4);
          UnitValues unit;
          read_unit(w.view, row, u, unit);
          for (int64_t k = 0; k < kUnitColumns; ++k) {
            const int64_t g = k / named.family.group;
            const double value =
                static_cast<double>(scale) * static_cast<int8_t>(record[32 * t + k]);
            const double code = static_cast<double>(unit.code[k]) - named.family.zero;
            want += (unit.scale[g] * code + unit.min[g]) * value;
            magnitude += (std::fabs(unit.scale[g] * code) + std::fabs(unit.min[g])) *
                         std::fabs(value);
          }
        }
        const double bound = (5.0 * static_cast<double>(w.view.units()) + 4.0) * 0x1p-24 * magnitude;
        ASSERT_NEAR(y[t * rows + row], want, bound) << named.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTargets, MatmulTest, testing::ValuesIn(list_matmul_kernels()),
                         [](const auto& info) {
                           std::string name(info.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(MatmulKernels, UnknownNamesAreRefusedAndTheBestIsTheDefault) {
  EXPECT_FALSE(set_matmul_kernels("no such set"));
  EXPECT_TRUE(set_matmul_kernels(""));
  EXPECT_EQ(&active_matmul_kernels(), list_matmul_kernels().front());
  EXPECT_EQ(list_matmul_kernels().back(), scalar_matmul_kernels());
}

}  // namespace
}  // namespace callie::kernels
