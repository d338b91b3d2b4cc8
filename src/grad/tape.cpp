#include "grad/tape.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace callie::grad {
namespace {

/// c += a [n, k] times b [m, k], transposed.
template <class T>
void add_product_transposed(const Matrix<T>& a, const Matrix<T>& b, Matrix<T>& c) {
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < b.rows; ++j) {
      T sum(0);
      for (int64_t k = 0; k < a.cols; ++k) sum += a.row(i)[k] * b.row(j)[k];
      c.row(i)[j] += sum;
    }
  }
}

/// c += a [n, m] times b [m, k].
template <class T>
void add_product(const Matrix<T>& a, const Matrix<T>& b, Matrix<T>& c) {
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.cols; ++j) {
      const T x = a.row(i)[j];
      for (int64_t k = 0; k < b.cols; ++k) c.row(i)[k] += x * b.row(j)[k];
    }
  }
}

/// c += a [n, m], transposed, times b [n, k].
template <class T>
void add_transposed_product(const Matrix<T>& a, const Matrix<T>& b, Matrix<T>& c) {
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.cols; ++j) {
      const T x = a.row(i)[j];
      for (int64_t k = 0; k < b.cols; ++k) c.row(j)[k] += x * b.row(i)[k];
    }
  }
}

template <class T>
void add_scaled(T factor, const Matrix<T>& x, Matrix<T>& y) {
  for (size_t i = 0; i < x.data.size(); ++i) y.data[i] += factor * x.data[i];
}

/// Softmax of each row; log_sum[r] is the logarithm of the row's sum of exponentials.
template <class T>
Matrix<T> softmax_rows(const Matrix<T>& x, std::vector<T>& log_sum) {
  Matrix<T> p(x.rows, x.cols);
  for (int64_t r = 0; r < x.rows; ++r) {
    const T largest = *std::max_element(x.row(r), x.row(r) + x.cols);
    T sum(0);
    for (int64_t j = 0; j < x.cols; ++j) sum += p.row(r)[j] = std::exp(x.row(r)[j] - largest);
    for (int64_t j = 0; j < x.cols; ++j) p.row(r)[j] /= sum;
    log_sum.push_back(largest + std::log(sum));
  }
  return p;
}

template <class T>
T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

}  // namespace

template <class T>
auto Tape<T>::push(Matrix<T> value, std::initializer_list<Var> inputs) -> Var {
  Node node;
  node.value = std::move(value);
  for (const Var input : inputs) node.needs_gradient |= needs(input);
  nodes_.push_back(std::move(node));
  return static_cast<Var>(nodes_.size()) - 1;
}

template <class T>
auto Tape<T>::constant(Matrix<T> value) -> Var {
  return push(std::move(value), {});
}

template <class T>
auto Tape<T>::parameter(const Matrix<T>& value) -> Var {
  const Var x = push(value, {});
  nodes_[x].needs_gradient = true;
  return x;
}

template <class T>
auto Tape<T>::frozen_linear(Var x, const Matrix<T>& weights) -> Var {
  assert(value(x).cols == weights.cols);
  Matrix<T> y(value(x).rows, weights.rows);
  add_product_transposed(value(x), weights, y);
  const Var out = push(std::move(y), {x});
  nodes_[out].backward = [this, x, &weights](const Matrix<T>& g) {
    add_product(g, weights, grad_of(x));
  };
  return out;
}

template <class T>
auto Tape<T>::linear(Var x, Var w) -> Var {
  assert(value(x).cols == value(w).cols);
  Matrix<T> y(value(x).rows, value(w).rows);
  add_product_transposed(value(x), value(w), y);
  const Var out = push(std::move(y), {x, w});
  nodes_[out].backward = [this, x, w](const Matrix<T>& g) {
    if (needs(x)) add_product(g, value(w), grad_of(x));
    if (needs(w)) add_transposed_product(g, value(x), grad_of(w));
  };
  return out;
}

template <class T>
auto Tape<T>::add(Var a, Var b) -> Var {
  assert(value(a).data.size() == value(b).data.size());
  Matrix<T> y = value(a);
  add_scaled(T(1), value(b), y);
  const Var out = push(std::move(y), {a, b});
  nodes_[out].backward = [this, a, b](const Matrix<T>& g) {
    if (needs(a)) add_scaled(T(1), g, grad_of(a));
    if (needs(b)) add_scaled(T(1), g, grad_of(b));
  };
  return out;
}

template <class T>
auto Tape<T>::multiply(Var a, Var b) -> Var {
  assert(value(a).data.size() == value(b).data.size());
  Matrix<T> y = value(a);
  for (size_t i = 0; i < y.data.size(); ++i) y.data[i] *= value(b).data[i];
  const Var out = push(std::move(y), {a, b});
  nodes_[out].backward = [this, a, b](const Matrix<T>& g) {
    for (size_t i = 0; i < g.data.size(); ++i) {
      if (needs(a)) grad_of(a).data[i] += g.data[i] * value(b).data[i];
      if (needs(b)) grad_of(b).data[i] += g.data[i] * value(a).data[i];
    }
  };
  return out;
}

template <class T>
auto Tape<T>::scale(Var x, T factor) -> Var {
  Matrix<T> y = value(x);
  for (T& v : y.data) v *= factor;
  const Var out = push(std::move(y), {x});
  nodes_[out].backward = [this, x, factor](const Matrix<T>& g) {
    add_scaled(factor, g, grad_of(x));
  };
  return out;
}

template <class T>
auto Tape<T>::silu(Var x) -> Var {
  Matrix<T> y = value(x);
  for (T& v : y.data) v *= sigmoid(v);
  const Var out = push(std::move(y), {x});
  nodes_[out].backward = [this, x](const Matrix<T>& g) {
    for (size_t i = 0; i < g.data.size(); ++i) {
      const T v = value(x).data[i], s = sigmoid(v);
      grad_of(x).data[i] += g.data[i] * s * (T(1) + v * (T(1) - s));
    }
  };
  return out;
}

template <class T>
auto Tape<T>::rms_norm(Var x, Var weight, T eps) -> Var {
  const Matrix<T>& in = value(x);
  assert(value(weight).cols == in.cols);
  Matrix<T> y(in.rows, in.cols);
  std::vector<T> inverse;
  for (int64_t r = 0; r < in.rows; ++r) {
    T sum(0);
    for (int64_t j = 0; j < in.cols; ++j) sum += in.row(r)[j] * in.row(r)[j];
    inverse.push_back(T(1) / std::sqrt(sum / T(in.cols) + eps));
    for (int64_t j = 0; j < in.cols; ++j)
      y.row(r)[j] = in.row(r)[j] * inverse[r] * value(weight).data[j];
  }
  const Var out = push(std::move(y), {x, weight});
  nodes_[out].backward = [this, x, weight, inverse](const Matrix<T>& g) {
    const Matrix<T>& v = value(x);
    const Matrix<T>& w = value(weight);
    for (int64_t r = 0; r < v.rows; ++r) {
      // y = x s w with ds/dx_i = -s^3 x_i / n.
      const T s = inverse[r];
      T dot(0);
      for (int64_t j = 0; j < v.cols; ++j) dot += g.row(r)[j] * w.data[j] * v.row(r)[j];
      for (int64_t j = 0; j < v.cols; ++j) {
        if (needs(x)) {
          grad_of(x).row(r)[j] +=
              s * g.row(r)[j] * w.data[j] - s * s * s * v.row(r)[j] * dot / T(v.cols);
        }
        if (needs(weight)) grad_of(weight).data[j] += g.row(r)[j] * v.row(r)[j] * s;
      }
    }
  };
  return out;
}

template <class T>
auto Tape<T>::embed(const Matrix<T>& table, std::span<const int32_t> ids) -> Var {
  Matrix<T> y(static_cast<int64_t>(ids.size()), table.cols);
  for (size_t i = 0; i < ids.size(); ++i)
    std::copy_n(table.row(ids[i]), table.cols, y.row(static_cast<int64_t>(i)));
  return constant(std::move(y));
}

template <class T>
auto Tape<T>::select_rows(Var x, std::span<const int32_t> ids) -> Var {
  Matrix<T> y(static_cast<int64_t>(ids.size()), value(x).cols);
  for (int64_t i = 0; i < y.rows; ++i) std::copy_n(value(x).row(ids[i]), y.cols, y.row(i));
  const Var out = push(std::move(y), {x});
  nodes_[out].backward = [this, x,
                          rows = std::vector<int32_t>(ids.begin(), ids.end())](const Matrix<T>& g) {
    for (int64_t i = 0; i < g.rows; ++i) {
      for (int64_t j = 0; j < g.cols; ++j) grad_of(x).row(rows[i])[j] += g.row(i)[j];
    }
  };
  return out;
}

template <class T>
auto Tape<T>::select_columns(Var x, std::span<const int32_t> ids) -> Var {
  Matrix<T> y(value(x).rows, static_cast<int64_t>(ids.size()));
  for (int64_t i = 0; i < y.rows; ++i) {
    for (int64_t j = 0; j < y.cols; ++j) y.row(i)[j] = value(x).row(i)[ids[j]];
  }
  const Var out = push(std::move(y), {x});
  nodes_[out].backward =
      [this, x, columns = std::vector<int32_t>(ids.begin(), ids.end())](const Matrix<T>& g) {
        for (int64_t i = 0; i < g.rows; ++i) {
          for (int64_t j = 0; j < g.cols; ++j) grad_of(x).row(i)[columns[j]] += g.row(i)[j];
        }
      };
  return out;
}

template <class T>
auto Tape<T>::mean(Var x) -> Var {
  Matrix<T> y(1, 1);
  for (const T v : value(x).data) y.data[0] += v;
  const T share = T(1) / T(value(x).data.size());
  y.data[0] *= share;
  const Var out = push(std::move(y), {x});
  nodes_[out].backward = [this, x, share](const Matrix<T>& g) {
    for (T& v : grad_of(x).data) v += g.data[0] * share;
  };
  return out;
}

template <class T>
auto Tape<T>::cross_entropy(Var logits, std::span<const int32_t> targets) -> Var {
  const Matrix<T>& x = value(logits);
  assert(static_cast<int64_t>(targets.size()) == x.rows);
  std::vector<T> log_sum;
  Matrix<T> slope = softmax_rows(x, log_sum);
  Matrix<T> y(1, 1);
  const T share = T(1) / T(x.rows);
  for (int64_t r = 0; r < x.rows; ++r) {
    y.data[0] += (log_sum[r] - x.row(r)[targets[r]]) * share;
    slope.row(r)[targets[r]] -= T(1);
  }
  const Var out = push(std::move(y), {logits});
  nodes_[out].backward = [this, logits, share, slope = std::move(slope)](const Matrix<T>& g) {
    add_scaled(g.data[0] * share, slope, grad_of(logits));
  };
  return out;
}

template <class T>
auto Tape<T>::kl_to(Var logits, const Matrix<T>& target) -> Var {
  const Matrix<T>& x = value(logits);
  assert(target.rows == x.rows && target.cols == x.cols);
  std::vector<T> log_sum;
  Matrix<T> slope = softmax_rows(x, log_sum);
  Matrix<T> y(1, 1);
  const T share = T(1) / T(x.rows);
  for (int64_t r = 0; r < x.rows; ++r) {
    T total(0);
    for (int64_t j = 0; j < x.cols; ++j) {
      const T p = target.row(r)[j];
      total += p;
      if (p > T(0)) y.data[0] += p * (std::log(p) - (x.row(r)[j] - log_sum[r])) * share;
    }
    for (int64_t j = 0; j < x.cols; ++j)
      slope.row(r)[j] = total * slope.row(r)[j] - target.row(r)[j];
  }
  const Var out = push(std::move(y), {logits});
  nodes_[out].backward = [this, logits, share, slope = std::move(slope)](const Matrix<T>& g) {
    add_scaled(g.data[0] * share, slope, grad_of(logits));
  };
  return out;
}

template <class T>
void Tape<T>::backward(Var loss) {
  assert(value(loss).data.size() == 1);
  for (Node& node : nodes_) node.gradient = Matrix<T>(node.value.rows, node.value.cols);
  nodes_[loss].gradient.data[0] = T(1);
  for (Var i = loss; i >= 0; --i) {
    if (nodes_[i].needs_gradient && nodes_[i].backward) nodes_[i].backward(nodes_[i].gradient);
  }
}

template class Tape<float>;
template class Tape<double>;

}  // namespace callie::grad
