#include "nn/linear.h"

#include <algorithm>
#include <cstring>

#include "kernels/matmul.h"

namespace callie::nn {
namespace {

constexpr int64_t kFineScratchFloats = 1 << 16;
constexpr int64_t kFinePanels = 4;  // at least so many panels are multiplied at a time

// y[m] = the sum of both halves' products, panels [begin, end).
void fine_matmul(const kernels::PackedView& view, const LinearInput& x, int64_t m, int64_t begin, int64_t end, float* y,
                 int64_t y_stride) {
  const int64_t floats_per_panel = 2 * m * kernels::kPanelRows;
  const int64_t step = std::max(kFinePanels, kFineScratchFloats / floats_per_panel);
  for (int64_t panel = begin; panel < end; panel += step) {
    const int64_t last = std::min(end, panel + step);
    const int64_t first_row = panel * kernels::kPanelRows;
    const int64_t n_rows = std::min(last * kernels::kPanelRows, view.rows) - first_row;
    const int64_t stride = (last - panel) * kernels::kPanelRows;
    kernels::matmul(view.slice(panel, n_rows), *x.quantized, 0, last - panel, x.scratch, stride);
    for (int64_t token = 0; token < m; ++token) {
      const float* coarse = x.scratch + 2 * token * stride;
      float* out = y + token * y_stride + first_row;
      for (int64_t row = 0; row < n_rows; ++row) out[row] = coarse[row] + coarse[stride + row];
    }
  }
}

/// How the panels of stacked matrices are shared out: few tokens cost the bytes that are read, many cost multiplies, the
/// same for every panel; those go in pairs, as the kernels for many tokens take them.
struct Split {
  explicit Split(int64_t m) : by_bytes(m <= kernels::QuantizedRows::kTile), panels(by_bytes ? 1 : 2) {}

  int64_t group_cost(const kernels::PackedView& view) const { return by_bytes ? view.panel_bytes : 1; }
  int64_t cost(const kernels::PackedView& view) const {
    return (view.panels() + panels - 1) / panels * group_cost(view);
  }
  /// The first panel whose group begins at `cost` or behind.
  int64_t panel_at(const kernels::PackedView& view, int64_t cost) const {
    const int64_t each = group_cost(view);
    const int64_t group = std::max<int64_t>(0, cost + each - 1) / each;
    return std::min(group * panels, view.panels());
  }

  bool by_bytes;
  int64_t panels;  ///< of a group
};

}  // namespace

int64_t fine_scratch_floats(int64_t m) {
  return std::max(kFineScratchFloats, kFinePanels * 2 * m * kernels::kPanelRows);
}

void quantize_fine(const float* x, int64_t stride, const kernels::QuantizedRows& out, int64_t begin, int64_t end,
                   float* remainder) {
  const int64_t cols = out.cols;
  for (int64_t i = begin; i < end; ++i) {
    float* pair = remainder + 2 * i * cols;
    std::memcpy(pair, x + i * stride, cols * sizeof(float));
    kernels::quantize_rows(remainder, cols, out, 2 * i, 2 * i + 1);
    const int64_t tile = 2 * i / kernels::QuantizedRows::kTile, token = 2 * i % kernels::QuantizedRows::kTile;
    const int64_t n = out.tile_tokens(tile);
    for (int64_t unit = 0; unit < out.units(); ++unit) {
      const uint8_t* record = out.record(tile, unit);
      const auto* codes = reinterpret_cast<const int8_t*>(record) + token * kernels::kUnitColumns;
      float scale;
      std::memcpy(&scale, record + n * kernels::kUnitColumns + token * sizeof(float), sizeof scale);
      const float* source = pair + unit * kernels::kUnitColumns;
      float* rest = pair + cols + unit * kernels::kUnitColumns;
      for (int64_t k = 0; k < kernels::kUnitColumns; ++k) {
        rest[k] = source[k] - scale * static_cast<float>(codes[k]);
      }
    }
    kernels::quantize_rows(remainder, cols, out, 2 * i + 1, 2 * i + 2);
  }
}

void quantize_input(const Linear& reader, const float* x, int64_t m, uint8_t* data, int64_t begin, int64_t end,
                    float* remainder) {
  const int64_t cols = reader.cols();
  if (reader.fine) {
    quantize_fine(x, cols, {data, 2 * m, cols}, begin, end, remainder);
  } else if (begin < end) {
    kernels::quantize_rows(x, cols, {data, m, cols}, begin, end);
  }
}

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
  const Split split(m);
  int64_t total = 0;
  for (const tensor::PackedMatrix& part : linear.parts) total += split.cost(part.view());
  const auto share = worker.share(total);
  int64_t cost_before = 0, rows_before = 0;
  for (const tensor::PackedMatrix& part : linear.parts) {
    const kernels::PackedView view = part.view();
    const int64_t begin = split.panel_at(view, share.begin - cost_before);
    const int64_t end = split.panel_at(view, share.end - cost_before);
    if (begin < end) {
      float* out = y + rows_before;
      if (precision == Precision::kF32 || view.family.is_float()) {
        kernels::matmul_f32(view, x.rows, x.stride, m, begin, end, out, y_stride);
      } else if (linear.fine) {
        fine_matmul(view, x, m, begin, end, out, y_stride);
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
    cost_before += split.cost(view);
    rows_before += part.rows();
  }
}

}  // namespace callie::nn
