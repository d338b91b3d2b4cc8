#include "kernels/activations.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/each_target.h"

namespace callie::kernels {
namespace {

double twin(Activation activation, double x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1.0 + std::exp(-x));
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-x / 1.4142135623730951);
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  return 0;
}
constexpr Activation kAll[] = {Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf,
                               Activation::kRelu};

TEST(Activations, EqualTheirTwins) {
  on_each_target([](const std::string& target) {
    for (const Activation activation : kAll) {
      for (const int64_t n : test_lengths()) {
        for (const size_t offset : kOffsets) {
          const std::vector<float> values = random_floats(n, n, 4.0f), up = random_floats(n, 9);
          GuardedRow gate(values, offset), out(n, offset);
          activate(activation, gate.data(), n, out.data());
          for (int64_t i = 0; i < n; ++i) {
            ASSERT_NEAR(out.data()[i], twin(activation, values[i]),
                        3e-7 * std::max(1.0f, std::abs(values[i])))
                << target << " of " << values[i];
          }
          ASSERT_TRUE(out.guards_intact());
          std::vector<float> plain(out.data(), out.data() + n);
          gated(activation, gate.data(), up.data(), n, out.data());
          for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out.data()[i], plain[i] * up[i]) << target;
          ASSERT_TRUE(out.guards_intact());
        }
      }
    }
  });
}

/// Largest error of f over many points, in the given measure.
void expect_error(const std::function<void(const float*, int64_t, float*)>& f,
                  const std::function<double(double)>& exact, double low, double high, double bound,
                  bool relative, const std::string& what) {
  const int64_t n = 100000;
  std::vector<float> x(n), y(n);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(low + (high - low) * i / (n - 1));
  f(x.data(), n, y.data());
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double expected = exact(x[i]);
    worst = std::max(worst, std::abs(y[i] - expected) / (relative ? std::abs(expected) : 1.0));
  }
  EXPECT_LE(worst, bound) << what;
}

// The bounds are those of math-inl.h: the polynomial's 2e-9 and the roundings of its last steps
// (2^-24 each: the last multiply-add, the product, and in exp the reduced argument's).
TEST(Activations, ElementaryFunctionsKeepTheirStatedErrors) {
  on_each_target([](const std::string& target) {
    expect_error(
        exp_row, [](double x) { return std::exp(x); }, -87.0, 88.5, 2e-7, true, target + " exp");
    expect_error(
        exp_row, [](double x) { return std::exp(x); }, -1.0, 1.0, 2e-7, true, target + " exp");
    expect_error(
        log_row, [](double x) { return std::log(x); }, 1e-6, 0.5, 2e-7, true, target + " log");
    expect_error(
        log_row, [](double x) { return std::log(x); }, 2.0, 1e6, 2e-7, true, target + " log");
    expect_error(
        log_row, [](double x) { return std::log(x); }, 0.5, 2.0, 1e-7, false,
        target + " log near 1");
    expect_error(
        sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -90.0, 90.0, 2e-7, false,
        target + " sigmoid");
    const auto cap = [](const float* x, int64_t n, float* y) {
      std::copy(x, x + n, y);
      soft_cap(y, n, 30.0f);
    };
    expect_error(
        cap, [](double x) { return 30 * std::tanh(x / 30); }, -300.0, 300.0, 30 * 2e-7, false,
        target + " cap");
    const auto gelu = [](const float* x, int64_t n, float* y) {
      activate(Activation::kGeluErf, x, n, y);
    };
    expect_error(
        gelu, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, -3.0, 3.0, 6e-7,
        false, target + " gelu");
  });
}

TEST(Activations, LimitsOfExp) {
  on_each_target([](const std::string&) {
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> x = {-infinity, -1000.0f, -87.4f, 0.0f, 88.8f, 1000.0f, infinity};
    std::vector<float> y(x.size());
    exp_row(x.data(), static_cast<int64_t>(x.size()), y.data());
    EXPECT_EQ(y, (std::vector<float>{0, 0, 0, 1, infinity, infinity, infinity}));
  });
}

TEST(Activations, SameBitsAtAnyLengthAndOnEveryTargetWithFusedMultiplyAdd) {
  const std::vector<float> x = random_floats(200, 3, 5.0f);
  for (const Activation activation : kAll) {
    std::vector<float> best(x.size());
    activate(activation, x.data(), 200, best.data());
    on_each_target([&](const std::string& target) {
      if (target == "SCALAR") return;
      for (int64_t n = 1; n <= 200; n += 13) {
        std::vector<float> out(n);
        activate(activation, x.data() + 200 - n, n, out.data());
        ASSERT_EQ(0, std::memcmp(out.data(), best.data() + 200 - n, n * sizeof(float))) << target;
      }
    });
  }
}

}  // namespace
}  // namespace callie::kernels
