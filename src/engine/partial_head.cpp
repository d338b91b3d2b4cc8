#include "engine/partial_head.h"

#include <algorithm>
#include <cstring>

namespace callie {

PartialHead::PartialHead(std::shared_ptr<const Model> model, int64_t rows) : model_(std::move(model)) {
  const nn::Linear& head = model_->decoder().weights().head;
  const int64_t vocab_size = model_->spec().vocab_size;
  if (rows <= 0 || rows >= vocab_size || head.parts.size() != 1 || !head.bias.empty()) return;
  const kernels::PackedView view = head.parts[0].view();
  if (view.panel_bytes % 64 != 0) return;  // a panel could not begin a matrix of its own
  whole_ = false;
  panels_.assign(view.panels(), 0);
  std::fill_n(panels_.begin(), (rows + kernels::kPanelRows - 1) / kernels::kPanelRows, uint8_t{1});
  const Tokenizer& tokenizer = model_->tokenizer();
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id) || tokenizer.is_end_of_generation(id)) panels_[id / kernels::kPanelRows] = 1;
  }
  rebuild();
}

void PartialHead::add(std::span<const int32_t> tokens) {
  if (whole_) return;
  bool changed = false;
  for (int32_t token : tokens) {
    const size_t panel = static_cast<size_t>(token) / kernels::kPanelRows;
    if (panel >= panels_.size() || panels_[panel]) continue;
    panels_[panel] = 1;
    changed = true;
  }
  if (changed) rebuild();
}

void PartialHead::rebuild() {
  const nn::Linear& head = model_->decoder().weights().head;
  const kernels::PackedView view = head.parts[0].view();
  linear_.fine = head.fine;
  linear_.parts.clear();
  runs_.clear();
  const auto n = static_cast<int64_t>(panels_.size());
  for (int64_t begin = 0; begin < n;) {
    if (!panels_[begin]) {
      ++begin;
      continue;
    }
    int64_t end = begin;
    while (end < n && panels_[end]) ++end;
    const int64_t first = begin * kernels::kPanelRows;
    const int64_t rows = std::min(end * kernels::kPanelRows, view.rows) - first;
    auto part = tensor::PackedMatrix::over(
        view.family, rows, view.cols, {view.panel(begin), static_cast<size_t>((end - begin) * view.panel_bytes)});
    if (part.ok()) {
      linear_.parts.push_back(std::move(*part));
      runs_.push_back({first, rows});
    }
    begin = end;
  }
}

std::vector<int32_t> PartialHead::tokens() const {
  std::vector<int32_t> out;
  if (whole_) {
    for (int64_t token = 0; token < rows(); ++token) out.push_back(static_cast<int32_t>(token));
  }
  for (const Run& run : runs_) {
    for (int64_t i = 0; i < run.n_rows; ++i) out.push_back(static_cast<int32_t>(run.first_row + i));
  }
  return out;
}

std::vector<int64_t> PartialHead::places() const {
  std::vector<int64_t> out(model_->spec().vocab_size, -1);
  const std::vector<int32_t> of_rows = tokens();
  for (size_t row = 0; row < of_rows.size(); ++row) out[of_rows[row]] = static_cast<int64_t>(row);
  return out;
}

void PartialHead::spread(std::span<const float> logits, std::span<float> full) const {
  const auto size = static_cast<int64_t>(full.size());
  if (whole_) {
    std::copy_n(logits.begin(), std::min<int64_t>(size, static_cast<int64_t>(logits.size())), full.begin());
    return;
  }
  const float* from = logits.data();
  for (const Run& run : runs_) {
    const int64_t n = std::clamp<int64_t>(size - run.first_row, 0, run.n_rows);
    std::memcpy(full.data() + run.first_row, from, n * sizeof(float));
    from += run.n_rows;
  }
}

}  // namespace callie
