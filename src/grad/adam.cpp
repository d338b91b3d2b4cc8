#include "grad/adam.h"

#include <cassert>
#include <cmath>

namespace callie::grad {

Adam::Adam(AdamOptions options, int64_t n_parameters)
    : options_(options), m_(n_parameters, 0.0f), v_(n_parameters, 0.0f) {}

void Adam::step(std::span<const float> gradient, std::span<float> parameters) {
  assert(gradient.size() == m_.size() && parameters.size() == m_.size());
  ++steps_;
  const double t = static_cast<double>(steps_);
  const double correct1 = 1.0 - std::pow(options_.beta1, t),
               correct2 = 1.0 - std::pow(options_.beta2, t);
  for (size_t i = 0; i < m_.size(); ++i) {
    const double g = gradient[i];
    m_[i] = static_cast<float>(options_.beta1 * m_[i] + (1.0 - options_.beta1) * g);
    v_[i] = static_cast<float>(options_.beta2 * v_[i] + (1.0 - options_.beta2) * g * g);
    const double move = m_[i] / correct1 / (std::sqrt(v_[i] / correct2) + options_.eps);
    parameters[i] -=
        static_cast<float>(options_.learning_rate * (move + options_.weight_decay * parameters[i]));
  }
}

Status Adam::restore(int64_t steps, std::span<const float> m, std::span<const float> v) {
  if (steps < 0 || m.size() != m_.size() || v.size() != v_.size()) {
    return invalid_argument("adam state: {} steps, {} and {} moments for {} parameters", steps,
                            m.size(), v.size(), m_.size());
  }
  steps_ = steps;
  m_.assign(m.begin(), m.end());
  v_.assign(v.begin(), v.end());
  return ok_status();
}

}  // namespace callie::grad
