#include "nn/linear.h"

#include <algorithm>

#include "kernels/matmul.h"

namespace callie::nn {

int64_t Linear::rows() const {
  int64_t rows = 0;
  for (const auto& part : parts) rows += part.rows();
  return rows;
}

int64_t Linear::bytes() const {
  int64_t bytes = 0;
  for (const auto& part : parts) bytes += part.view().bytes();
  return bytes;
}

bool Linear::reads_f32(Precision precision) const {
  return precision == Precision::kF32 ||
         std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.view().family.is_float(); });
}

bool Linear::reads_quantized(Precision precision) const {
  return precision != Precision::kF32 &&
         std::any_of(parts.begin(), parts.end(), [](const auto& part) { return !part.view().family.is_float(); });
}

void linear_forward(const Worker& worker, const Linear& linear, const LinearInput& x, int64_t m, Precision precision,
                    float* y, int64_t y_stride) {
  const auto share = worker.share(linear.bytes());
  int64_t bytes_before = 0, rows_before = 0;
  for (const tensor::PackedMatrix& part : linear.parts) {
    const kernels::PackedView view = part.view();
    // A panel belongs to the worker whose share holds its first byte.
    const auto first_panel = [&](int64_t byte) {
      return std::clamp<int64_t>((byte - bytes_before + view.panel_bytes - 1) / view.panel_bytes, 0, view.panels());
    };
    const int64_t begin = first_panel(share.begin), end = first_panel(share.end);
    if (begin < end) {
      float* out = y + rows_before;
      if (precision == Precision::kF32 || view.family.is_float()) {
        kernels::matmul_f32(view, x.rows, x.stride, m, begin, end, out, y_stride);
      } else {
        kernels::matmul(view, *x.quantized, begin, end, out, y_stride);
      }
      if (!linear.bias.empty()) {
        const int64_t row_end = std::min(end * kernels::kPanelRows, view.rows);
        const float* bias = linear.bias.data() + rows_before;
        for (int64_t token = 0; token < m; ++token) {
          for (int64_t row = begin * kernels::kPanelRows; row < row_end; ++row) out[token * y_stride + row] += bias[row];
        }
      }
    }
    bytes_before += part.view().bytes();
    rows_before += part.rows();
  }
}

}  // namespace callie::nn
