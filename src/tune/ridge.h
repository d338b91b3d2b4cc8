#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/status.h"

namespace callie::tune {

/// Sums of a linear regression y ~ A x + b, collected in chunks: x [n, in], y [n, out].
class Ridge {
 public:
  Ridge(int64_t in, int64_t out);

  /// Adds rows of x [n, in] and y [n, out], both row-major. Errors: those of packing.
  Status add(std::span<const float> x, std::span<const float> y, int64_t n, const Context& context);

  struct Solution {
    std::vector<float> map;   ///< [out, in]
    std::vector<float> bias;  ///< [out]
  };
  /// argmin over A, b of the mean of |A x + b - y|^2 plus `weight` times the mean variance of x times |A|^2, by a
  /// Cholesky factor in double precision. Errors: kFailedPrecondition (no rows, or a singular problem).
  StatusOr<Solution> solve(double weight, const Context& context) const;

 private:
  int64_t in_, out_, n_ = 0;
  std::vector<double> xx_, yx_, x_, y_;  // [in, in], [out, in], [in], [out]
};

}  // namespace callie::tune
