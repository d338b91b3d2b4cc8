// Every operation's gradient against central differences in float64.

#include "grad/tape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/philox.h"

namespace callie::grad {
namespace {

using M = Matrix<double>;
using V = Tape<double>::Var;

M random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  SequentialRng rng(seed, Purpose::kTest);
  M m(rows, cols);
  for (double& x : m.data) x = 2.0 * rng.next_double() - 1.0;
  return m;
}

/// Checks d loss / d parameter of `build` for every element of every parameter. The central
/// difference of step h has an error of h^2 / 6 times the third derivative (below 100 here) plus
/// 1e-16 / h: 1e-8 for h = 1e-5.
void expect_gradients(std::vector<M> parameters,
                      const std::function<V(Tape<double>&, const std::vector<V>&)>& build) {
  const auto evaluate = [&](std::vector<M>* gradients) {
    Tape<double> tape;
    std::vector<V> vars;
    for (const M& p : parameters) vars.push_back(tape.parameter(p));
    const V loss = build(tape, vars);
    const double value = tape.value(loss).data[0];
    if (gradients != nullptr) {
      tape.backward(loss);
      for (const V v : vars) gradients->push_back(tape.gradient(v));
    }
    return value;
  };
  std::vector<M> gradients;
  evaluate(&gradients);
  double magnitude = 0;
  for (size_t p = 0; p < parameters.size(); ++p) {
    for (size_t i = 0; i < parameters[p].data.size(); ++i) {
      const double at = parameters[p].data[i], h = 1e-5;
      parameters[p].data[i] = at + h;
      const double above = evaluate(nullptr);
      parameters[p].data[i] = at - h;
      const double below = evaluate(nullptr);
      parameters[p].data[i] = at;
      ASSERT_NEAR(gradients[p].data[i], (above - below) / (2 * h), 1e-8)
          << "parameter " << p << " element " << i;
      magnitude = std::max(magnitude, std::abs(gradients[p].data[i]));
    }
  }
  EXPECT_GT(magnitude, 1e-3);  // the check sees something
}

/// A loss whose slope differs from element to element.
V loss_of(Tape<double>& t, V x) { return t.mean(t.multiply(x, t.multiply(x, x))); }

TEST(Tape, FrozenLinear) {
  const M w = random_matrix(4, 5, 9);
  expect_gradients({random_matrix(3, 5, 1)},
                   [&](auto& t, auto& p) { return loss_of(t, t.frozen_linear(p[0], w)); });
}
TEST(Tape, Linear) {
  expect_gradients({random_matrix(3, 5, 1), random_matrix(4, 5, 2)},
                   [](auto& t, auto& p) { return loss_of(t, t.linear(p[0], p[1])); });
}
TEST(Tape, AddMultiplyScale) {
  expect_gradients({random_matrix(3, 5, 1), random_matrix(3, 5, 2)}, [](auto& t, auto& p) {
    return loss_of(t, t.add(t.scale(p[0], 1.7), t.multiply(p[0], p[1])));
  });
}
TEST(Tape, AnInputUsedTwiceGetsBothGradients) {
  expect_gradients({random_matrix(2, 3, 1)},
                   [](auto& t, auto& p) { return loss_of(t, t.add(p[0], p[0])); });
}
TEST(Tape, SwiGlu) {
  expect_gradients({random_matrix(3, 5, 1), random_matrix(3, 5, 2)},
                   [](auto& t, auto& p) { return loss_of(t, t.swiglu(t.scale(p[0], 3.0), p[1])); });
}
TEST(Tape, RmsNorm) {
  expect_gradients({random_matrix(3, 6, 1), random_matrix(1, 6, 2)},
                   [](auto& t, auto& p) { return loss_of(t, t.rms_norm(p[0], p[1], 1e-5)); });
}
TEST(Tape, SelectRowsAndColumnsMayRepeat) {
  const int32_t rows[] = {2, 0, 2}, columns[] = {1, 1, 4};
  expect_gradients({random_matrix(3, 5, 1)}, [&](auto& t, auto& p) {
    return loss_of(t, t.select_columns(t.select_rows(p[0], rows), columns));
  });
}
TEST(Tape, CrossEntropy) {
  const int32_t targets[] = {3, 0, 3};
  expect_gradients({random_matrix(3, 5, 1)},
                   [&](auto& t, auto& p) { return t.cross_entropy(p[0], targets); });
}
TEST(Tape, KlToGivenTargets) {
  M target = random_matrix(3, 5, 7);
  for (int64_t r = 0; r < 3; ++r) {
    double sum = 0;
    for (int64_t j = 0; j < 5; ++j)
      sum += target.row(r)[j] = j == r ? 0.0 : std::exp(target.row(r)[j]);
    for (int64_t j = 0; j < 5; ++j) target.row(r)[j] /= sum;
  }
  expect_gradients({random_matrix(3, 5, 1)},
                   [&](auto& t, auto& p) { return t.kl_to(p[0], target); });
  // KL of a distribution to itself is 0.
  Tape<double> tape;
  M logits(3, 5);
  for (int64_t i = 0; i < 15; ++i) logits.data[i] = std::log(std::max(target.data[i], 1e-300));
  EXPECT_NEAR(tape.value(tape.kl_to(tape.constant(logits), target)).data[0], 0.0, 1e-12);
}
TEST(Tape, EmbedGathersRows) {
  const M table = random_matrix(6, 4, 3);
  const int32_t ids[] = {5, 0, 5};
  expect_gradients({random_matrix(2, 4, 1)}, [&](auto& t, auto& p) {
    return loss_of(t, t.linear(t.embed(table, ids), p[0]));
  });
}
TEST(Tape, ExitHeadAsAWhole) {
  // RMSNorm, residual SwiGLU bottleneck, frozen head: what a trained exit consists of.
  const M hidden = random_matrix(4, 8, 20), head = random_matrix(7, 8, 21);
  const int32_t targets[] = {1, 2, 6, 0};
  expect_gradients({random_matrix(1, 8, 1), random_matrix(3, 8, 2), random_matrix(3, 8, 3),
                    random_matrix(8, 3, 4)},
                   [&](auto& t, auto& p) {
                     const V h = t.constant(hidden), x = t.rms_norm(h, p[0], 1e-6);
                     const V inner = t.swiglu(t.linear(x, p[1]), t.linear(x, p[2]));
                     return t.cross_entropy(t.frozen_linear(t.add(h, t.linear(inner, p[3])), head),
                                            targets);
                   });
}

}  // namespace
}  // namespace callie::grad
