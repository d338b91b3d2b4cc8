#include "kernels/vector_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/each_target.h"
#include "kernels/half.h"

namespace callie::kernels {
namespace {

TEST(VectorOps, ElementwiseEqualTheirTwins) {
  on_each_target([](const std::string& target) {
    for (const int64_t n : test_lengths()) {
      for (const size_t offset : kOffsets) {
        const std::vector<float> x = random_floats(n, 1), y = random_floats(n, 2);
        GuardedRow a(x, offset), b(y, offset);
        add_to(a.data(), n, b.data());
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(b.data()[i], y[i] + x[i]) << target;
        scale(b.data(), n, 3.0f);
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(b.data()[i], (y[i] + x[i]) * 3.0f) << target;
        multiply(a.data(), b.data(), n, b.data());
        for (int64_t i = 0; i < n; ++i)
          ASSERT_EQ(b.data()[i], x[i] * ((y[i] + x[i]) * 3.0f)) << target;
        GuardedRow c(y, offset);
        add_scaled(0.3f, a.data(), n, c.data());
        // Fused or not: two roundings at most.
        for (int64_t i = 0; i < n; ++i)
          ASSERT_NEAR(c.data()[i], y[i] + double(0.3f) * x[i], 2e-6) << target;
        ASSERT_TRUE(a.guards_intact() && b.guards_intact() && c.guards_intact());
      }
    }
  });
}

TEST(VectorOps, ReductionsEqualTheirTwins) {
  on_each_target([](const std::string& target) {
    for (const int64_t n : test_lengths()) {
      const std::vector<float> x = random_floats(n, n), y = random_floats(n, n + 1);
      double exact = 0, magnitude = 0, largest = -INFINITY, total = 0;
      for (int64_t i = 0; i < n; ++i) {
        exact += double(x[i]) * y[i];
        magnitude += std::abs(double(x[i]) * y[i]);
        largest = std::max(largest, double(x[i]));
      }
      for (int64_t i = 0; i < n; ++i) total += std::exp(x[i] - largest);
      // n / 32 roundings in a chain, 6 in the tree, relative to the sum of magnitudes.
      ASSERT_NEAR(dot(x.data(), y.data(), n), exact, (n / 32.0 + 7) * 0x1p-24 * magnitude)
          << target;
      const double lse = largest + std::log(total);
      ASSERT_NEAR(log_sum_exp(x.data(), n), lse, 1e-6 * std::max(1.0, std::abs(lse))) << target;
      std::vector<float> p = x;
      softmax(p.data(), n);
      for (int64_t i = 0; i < n; ++i) ASSERT_NEAR(p[i], std::exp(x[i] - lse), 1e-6) << target;
    }
  });
}

TEST(VectorOps, ArgmaxTakesTheLowestOfEquals) {
  on_each_target([](const std::string& target) {
    for (const int64_t n : test_lengths()) {
      std::vector<float> x = random_floats(n, n);
      for (float& v : x) v = std::round(v);  // many ties
      int64_t expected = 0;
      for (int64_t i = 1; i < n; ++i) {
        if (x[i] > x[expected]) expected = i;
      }
      ASSERT_EQ(argmax(x.data(), n), expected) << target << " n " << n;
    }
    const float infinity = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> masked = {-infinity, -infinity, nan, -infinity};
    EXPECT_EQ(argmax(masked.data(), 4), 0);
    const std::vector<float> with_nan = {nan, 1.0f, 2.0f, nan};
    EXPECT_EQ(argmax(with_nan.data(), 4), 2);
  });
}

TEST(VectorOps, HalfPrecisionRoundsTiesToEvenOnEveryTarget) {
  // Every half and the floats around the middle between it and its neighbour.
  std::vector<float> values;
  for (uint32_t h = 0; h < 0x7C00; ++h) {
    const float a = f16_to_f32(static_cast<uint16_t>(h)),
                b = f16_to_f32(static_cast<uint16_t>(h + 1));
    const float middle = h + 1 < 0x7C00 ? (a + b) / 2 : 65520.0f;
    for (const float x : {a, std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f)}) {
      values.push_back(x);
      values.push_back(-x);
    }
  }
  const int64_t n = static_cast<int64_t>(values.size());
  on_each_target([&](const std::string& target) {
    std::vector<uint16_t> half(n);
    std::vector<float> back(n);
    to_f16(values.data(), n, half.data());
    from_f16(half.data(), n, back.data());
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(half[i], f32_to_f16(values[i])) << target << " " << values[i];
      ASSERT_EQ(back[i], f16_to_f32(half[i])) << target;
    }
  });
}

TEST(VectorOps, SameBitsOnEveryTargetWithFusedMultiplyAdd) {
  for (const int64_t n : test_lengths()) {
    const std::vector<float> x = random_floats(n, n), y = random_floats(n, 1);
    const float best_dot = dot(x.data(), y.data(), n), best_lse = log_sum_exp(x.data(), n);
    std::vector<float> best = x;
    softmax(best.data(), n);
    on_each_target([&](const std::string& target) {
      if (target == "SCALAR") return;
      GuardedRow moved(x, 5);
      ASSERT_EQ(dot(moved.data(), y.data(), n), best_dot) << target;
      ASSERT_EQ(log_sum_exp(moved.data(), n), best_lse) << target;
      softmax(moved.data(), n);
      ASSERT_EQ(0, std::memcmp(moved.data(), best.data(), n * sizeof(float))) << target;
    });
  }
}

}  // namespace
}  // namespace callie::kernels
