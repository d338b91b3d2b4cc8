#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/each_target.h"

namespace callie::kernels {
namespace {

std::vector<double> rms_twin(const std::vector<double>& x, const float* weight, double eps,
                             double offset) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  std::vector<double> out;
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(x.size()) + eps);
  for (size_t i = 0; i < x.size(); ++i)
    out.push_back(x[i] * scale * (weight ? weight[i] + offset : 1.0));
  return out;
}
std::vector<double> layer_twin(const std::vector<float>& x, const float* weight, const float* bias,
                               double eps) {
  double mean = 0, variance = 0;
  for (const float v : x) mean += v;
  mean /= static_cast<double>(x.size());
  for (const float v : x) variance += (v - mean) * (v - mean);
  variance /= static_cast<double>(x.size());
  std::vector<double> out;
  for (size_t i = 0; i < x.size(); ++i) {
    out.push_back((x[i] - mean) / std::sqrt(variance + eps) * (weight ? weight[i] : 1.0) +
                  (bias ? bias[i] : 0.0));
  }
  return out;
}

// A sum of n squares in 32 chains has a relative error of at most (n / 32 + 6) 2^-24, halved by the
// root; the four roundings behind it add 4 * 2^-24. 1e-5 covers n = 4099 (8e-6) and is relative to
// the element.
void expect_close(const float* got, const std::vector<double>& expected, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], 1e-5 * std::abs(expected[i]) + 1e-7) << what << " at " << i;
  }
}

TEST(Norm, RmsNormEqualsItsTwin) {
  on_each_target([](const std::string& target) {
    for (const int64_t n : test_lengths()) {
      for (const size_t offset : kOffsets) {
        GuardedRow x(random_floats(n, n, 3.0f), offset), w(random_floats(n, n + 1), 0),
            out(n, offset);
        for (const bool weighted : {true, false}) {
          for (const float plus : {0.0f, 1.0f}) {
            const float* weight = weighted ? w.data() : nullptr;
            rms_norm(x.data(), weight, n, 1e-5f, out.data(), plus);
            expect_close(out.data(), rms_twin({x.data(), x.data() + n}, weight, 1e-5, plus),
                         target);
            ASSERT_TRUE(out.guards_intact());
          }
        }
      }
    }
  });
}

TEST(Norm, AddRmsNormEqualsAddThenNormBitForBit) {
  on_each_target([](const std::string&) {
    for (const int64_t n : test_lengths()) {
      const std::vector<float> delta = random_floats(n, 5), weight = random_floats(n, 6);
      std::vector<float> fused = random_floats(n, 4), plain = fused, out(n), expected(n);
      add_rms_norm(fused.data(), delta.data(), weight.data(), n, 1e-6f, out.data());
      for (int64_t i = 0; i < n; ++i) plain[i] += delta[i];
      rms_norm(plain.data(), weight.data(), n, 1e-6f, expected.data());
      ASSERT_EQ(fused, plain);
      ASSERT_EQ(out, expected);
    }
  });
}

TEST(Norm, HeadsAreNormalisedOneByOne) {
  const std::vector<float> weight = random_floats(64, 1);
  std::vector<float> x = random_floats(5 * 64, 2), expected = x;
  for (int h = 0; h < 5; ++h)
    rms_norm(&expected[h * 64], weight.data(), 64, 1e-6f, &expected[h * 64]);
  rms_norm_heads(x.data(), weight.data(), 5, 64, 1e-6f);
  EXPECT_EQ(x, expected);
}

TEST(Norm, LayerNormEqualsItsTwin) {
  on_each_target([](const std::string& target) {
    for (const int64_t n : test_lengths()) {
      if (n == 1) continue;  // the variance is 0: what remains is rounding over sqrt(eps)
      const std::vector<float> values = random_floats(n, n, 2.0f), weight = random_floats(n, 1),
                               bias = random_floats(n, 2);
      GuardedRow x(values, 1), out(n, 3);
      layer_norm(x.data(), weight.data(), bias.data(), n, 1e-5f, out.data());
      const std::vector<double> expected = layer_twin(values, weight.data(), bias.data(), 1e-5);
      // Beside the errors of rms_norm: x - mean cancels, 2^-23 |mean| / deviation; bounded by 3e-5
      // absolute here.
      for (int64_t i = 0; i < n; ++i)
        ASSERT_NEAR(out.data()[i], expected[i], 3e-5) << target << " n " << n;
      ASSERT_TRUE(out.guards_intact());
    }
  });
}

TEST(Norm, SameBitsOnEveryTargetWithFusedMultiplyAdd) {
  for (const int64_t n : test_lengths()) {
    const std::vector<float> x = random_floats(n, n), weight = random_floats(n, 1);
    std::vector<float> best(n), best_layer(n);
    rms_norm(x.data(), weight.data(), n, 1e-5f, best.data());
    layer_norm(x.data(), weight.data(), nullptr, n, 1e-5f, best_layer.data());
    on_each_target([&](const std::string& target) {
      if (target == "SCALAR") return;
      std::vector<float> out(n);
      rms_norm(x.data(), weight.data(), n, 1e-5f, out.data());
      ASSERT_EQ(0, std::memcmp(out.data(), best.data(), n * sizeof(float))) << target;
      layer_norm(x.data(), weight.data(), nullptr, n, 1e-5f, out.data());
      ASSERT_EQ(0, std::memcmp(out.data(), best_layer.data(), n * sizeof(float))) << target;
    });
  }
}

}  // namespace
}  // namespace callie::kernels
