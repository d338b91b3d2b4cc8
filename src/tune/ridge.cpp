#include "tune/ridge.h"

#include <cmath>

#include "kernels/matmul.h"
#include "tensor/packed_matrix.h"

namespace callie::tune {

Ridge::Ridge(int64_t in, int64_t out)
    : in_(in), out_(out), xx_(in * in, 0), yx_(out * in, 0), x_(in, 0), y_(out, 0) {}

Status Ridge::add(std::span<const float> x, std::span<const float> y, int64_t n, const Context& context) {
  // Columns become rows, so that a product of two of them is a sum over the chunk.
  const auto transposed = [n](std::span<const float> m, int64_t cols) {
    std::vector<float> out(m.size());
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t c = 0; c < cols; ++c) out[c * n + r] = m[r * cols + c];
    }
    return out;
  };
  const std::vector<float> xt = transposed(x, in_), yt = transposed(y, out_);
  CALLIE_ASSIGN_OR_RETURN(
      const auto packed,
      tensor::PackedMatrix::pack(tensor::StorageType::kF32, {reinterpret_cast<const uint8_t*>(xt.data()), xt.size() * sizeof(float)},
                                 in_, n, context));
  const kernels::PackedView& view = packed.view();
  const auto accumulate = [&](const std::vector<float>& rows, int64_t m, std::vector<double>& sums) {
    context.pool->parallel_for(view.panels(), [&](int64_t begin, int64_t end) {
      std::vector<float> product(m * in_);
      kernels::matmul_f32(view, rows.data(), n, m, begin, end, product.data(), in_);
      const int64_t first = begin * kernels::kPanelRows, last = std::min(in_, end * kernels::kPanelRows);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = first; j < last; ++j) sums[i * in_ + j] += product[i * in_ + j];
      }
    });
  };
  accumulate(xt, in_, xx_);
  accumulate(yt, out_, yx_);
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t c = 0; c < in_; ++c) x_[c] += x[r * in_ + c];
    for (int64_t c = 0; c < out_; ++c) y_[c] += y[r * out_ + c];
  }
  n_ += n;
  return ok_status();
}

StatusOr<Ridge::Solution> Ridge::solve(double weight, const Context& context) const {
  if (n_ == 0) return error(StatusCode::kFailedPrecondition, "no rows to fit");
  const auto count = static_cast<double>(n_);
  std::vector<double> s(in_ * in_);
  double trace = 0;
  for (int64_t i = 0; i < in_; ++i) {
    for (int64_t j = 0; j <= i; ++j) s[i * in_ + j] = xx_[i * in_ + j] / count - x_[i] * x_[j] / (count * count);
    trace += s[i * in_ + i];
  }
  const double ridge = weight * trace / static_cast<double>(in_);
  // Cholesky, row by row; only the lower triangle is used.
  for (int64_t i = 0; i < in_; ++i) {
    s[i * in_ + i] += ridge;
    double* row = s.data() + i * in_;
    for (int64_t j = 0; j <= i; ++j) {
      const double* other = s.data() + j * in_;
      double sum[4] = {};
      int64_t k = 0;
      for (; k + 4 <= j; k += 4) {
        for (int64_t u = 0; u < 4; ++u) sum[u] += row[k + u] * other[k + u];
      }
      for (; k < j; ++k) sum[0] += row[k] * other[k];
      const double rest = row[j] - ((sum[0] + sum[1]) + (sum[2] + sum[3]));
      if (j < i) {
        row[j] = rest / other[j];
      } else {
        if (!(rest > 0)) return error(StatusCode::kFailedPrecondition, "the inputs are linearly dependent: more rows are needed");
        row[i] = std::sqrt(rest);
      }
    }
  }
  Solution out;
  out.map.resize(out_ * in_);
  out.bias.resize(out_);
  context.pool->parallel_for(out_, [&](int64_t begin, int64_t end) {
    std::vector<double> v(in_);
    for (int64_t o = begin; o < end; ++o) {
      for (int64_t i = 0; i < in_; ++i) v[i] = yx_[o * in_ + i] / count - y_[o] * x_[i] / (count * count);
      for (int64_t i = 0; i < in_; ++i) {
        const double* row = s.data() + i * in_;
        double rest = v[i];
        for (int64_t k = 0; k < i; ++k) rest -= row[k] * v[k];
        v[i] = rest / row[i];
      }
      for (int64_t i = in_ - 1; i >= 0; --i) {
        const double* row = s.data() + i * in_;
        v[i] /= row[i];
        for (int64_t k = 0; k < i; ++k) v[k] -= row[k] * v[i];
      }
      double bias = y_[o] / count;
      for (int64_t i = 0; i < in_; ++i) {
        out.map[o * in_ + i] = static_cast<float>(v[i]);
        bias -= v[i] * x_[i] / count;
      }
      out.bias[o] = static_cast<float>(bias);
    }
  });
  return out;
}

}  // namespace callie::tune
