#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace callie::grad {

/// A matrix in row-major order.
template <class T>
struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<T> data;

  Matrix() = default;
  Matrix(int64_t n_rows, int64_t n_cols)
      : rows(n_rows), cols(n_cols), data(static_cast<size_t>(n_rows * n_cols), T(0)) {}
  T* row(int64_t r) { return data.data() + r * cols; }
  const T* row(int64_t r) const { return data.data() + r * cols; }
};

/// Reverse-mode differentiation of a few matrix operations, enough to train small heads beside
/// frozen weights. Operations run at once and are recorded; backward() walks them in reverse. Sums
/// run in index order, so results depend on the inputs only. T is float for training and double for
/// checking. Shapes are the caller's duty (asserted).
///
/// A Var is valid until clear(). Parameters and frozen matrices must outlive the tape's use of
/// them.
template <class T>
class Tape {
 public:
  using Var = int;

  Tape() = default;
  Tape(const Tape&) = delete;  // recorded steps point at their tape
  Tape& operator=(const Tape&) = delete;

  /// A value without gradient.
  Var constant(Matrix<T> value);
  /// A parameter; its gradient is read with gradient() after backward().
  Var parameter(const Matrix<T>& value);

  /// x [n, k] times frozen weights [m, k], transposed: [n, m]. The weights get no gradient.
  Var frozen_linear(Var x, const Matrix<T>& weights);
  /// x [n, k] times w [m, k], transposed: [n, m]. Both get gradients.
  Var linear(Var x, Var w);
  Var add(Var a, Var b);       ///< the same shape
  Var multiply(Var a, Var b);  ///< elementwise, the same shape
  Var scale(Var x, T factor);
  Var silu(Var x);
  Var swiglu(Var gate, Var up) { return multiply(silu(gate), up); }
  /// Rows over their root mean square, times weight [1, n].
  Var rms_norm(Var x, Var weight, T eps);
  /// Rows `ids` of a frozen table [vocabulary, n].
  Var embed(const Matrix<T>& table, std::span<const int32_t> ids);
  /// Rows `ids` of x (positions that carry a loss).
  Var select_rows(Var x, std::span<const int32_t> ids);
  /// Columns `ids` of x (a sub-vocabulary).
  Var select_columns(Var x, std::span<const int32_t> ids);
  /// Mean over all elements: [1, 1].
  Var mean(Var x);
  /// Mean over rows of -ln softmax(logits)[target]: [1, 1].
  Var cross_entropy(Var logits, std::span<const int32_t> targets);
  /// Mean over rows of KL(target || softmax(logits)): [1, 1]. Rows of `target` are probabilities.
  Var kl_to(Var logits, const Matrix<T>& target);

  const Matrix<T>& value(Var x) const { return nodes_[x].value; }
  const Matrix<T>& gradient(Var x) const { return nodes_[x].gradient; }

  /// Gradients of the scalar `loss` with respect to everything it depends on.
  void backward(Var loss);
  void clear() { nodes_.clear(); }

 private:
  struct Node {
    Matrix<T> value, gradient;
    bool needs_gradient = false;
    std::function<void(const Matrix<T>& out_gradient)> backward;
  };
  Var push(Matrix<T> value, std::initializer_list<Var> inputs);
  Matrix<T>& grad_of(Var x) { return nodes_[x].gradient; }
  bool needs(Var x) const { return nodes_[x].needs_gradient; }

  std::vector<Node> nodes_;
};

extern template class Tape<float>;
extern template class Tape<double>;

}  // namespace callie::grad
