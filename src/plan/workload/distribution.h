#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::plan {

/// A distribution of positive numbers, drawn from two uniform numbers so that it can be addressed by request.
///
/// Text forms: a number; fixed(x), uniform(a, b), exponential(mean), geometric(mean), lognormal(mu, sigma),
/// normal(mean, deviation), gamma(mean, cv), zipf(exponent, n), pmf(value:weight, ...).
class Distribution {
 public:
  enum class Kind : uint8_t {
    kFixed,
    kUniform,
    kExponential,
    kGeometric,
    kLognormal,
    kNormal,
    kGamma,
    kZipf,
    kPmf
  };

  Distribution() = default;
  static Distribution fixed(double value);
  /// Errors: kInvalidArgument, "what: why".
  static StatusOr<Distribution> parse(std::string_view text);

  /// A value >= 0 for u1, u2 uniform in (0, 1).
  double sample(double u1, double u2) const;
  double mean() const;
  Kind kind() const { return kind_; }

 private:
  Kind kind_ = Kind::kFixed;
  double a_ = 1, b_ = 0;
  std::vector<double> values_, cumulative_;  // kPmf, kZipf
};

}  // namespace callie::plan
