#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"

namespace callie::grad {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.0;  ///< decoupled (AdamW, arXiv 1711.05101)
};

/// Adam (arXiv 1412.6980) over one flat vector of parameters. Its whole state is (step, m, v), so
/// that a run that is saved and resumed makes the same steps, bit for bit.
class Adam {
 public:
  Adam(AdamOptions options, int64_t n_parameters);

  /// One step; both spans hold n_parameters values.
  void step(std::span<const float> gradient, std::span<float> parameters);

  int64_t steps() const { return steps_; }
  std::span<const float> first_moment() const { return m_; }
  std::span<const float> second_moment() const { return v_; }
  void set_learning_rate(double rate) { options_.learning_rate = rate; }

  /// Continues from a saved state. Errors: kInvalidArgument (sizes differ, steps < 0); the state is
  /// then unchanged.
  Status restore(int64_t steps, std::span<const float> m, std::span<const float> v);

 private:
  AdamOptions options_;
  int64_t steps_ = 0;
  std::vector<float> m_, v_;
};

}  // namespace callie::grad
