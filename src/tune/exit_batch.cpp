#include "tune/exit_batch.h"

#include <algorithm>
#include <cmath>

#include "core/interrupt.h"
#include "kernels/quantize_rows.h"
#include "kernels/vector_ops.h"

namespace callie::tune {

ExitBatch::ExitBatch(const ExitHeads& heads, const Context& context)
    : heads_(heads),
      context_(context),
      hidden_(heads.model().spec().hidden_size),
      width_(heads.head().rows()),
      normed_(kRows * hidden_),
      mapped_(kRows * hidden_),
      logits_(kRows * width_),
      quantized_(kernels::quantized_rows_bytes(2 * kRows, hidden_)),
      tokens_(heads.head().tokens()),
      places_(heads.head().places()) {
  if (heads.model().decoder().weights().head.fine) {
    remainder_.reset(2 * kRows * hidden_);
    fine_.reset(context.pool->size() * nn::fine_scratch_floats(kRows));
  }
}

std::span<const float> ExitBatch::run(const ExitFeatures& features, int exit, std::span<const int64_t> rows) {
  const nn::ExitHead& head = heads_.heads()[exit];
  const auto k = std::find(features.layers().begin(), features.layers().end(), head.layer) - features.layers().begin();
  n_ = static_cast<int64_t>(rows.size());
  for (int64_t i = 0; i < n_; ++i) features.exit_input(rows[i], k, normed_.data() + i * hidden_);
  const nn::ExitScratch scratch{normed_.data(),    mapped_.data(), quantized_.data(),
                                remainder_.data(), fine_.data(),   nn::fine_scratch_floats(kRows)};
  context_.pool->run([&](const Worker& worker) {
    nn::exit_forward(worker, head, scratch, n_, nn::Precision::kDefault, logits_.data());
  });
  return {logits_.data(), static_cast<size_t>(n_ * width_)};
}

Status ExitBatch::each(const ExitFeatures& features, int exit, std::span<const int64_t> rows,
                       const std::function<void(int64_t row, std::span<const float> logits)>& read) {
  for (size_t begin = 0; begin < rows.size(); begin += kRows) {
    if (interrupted()) return Status(StatusCode::kCancelled, "");
    const auto part = rows.subspan(begin, std::min<size_t>(kRows, rows.size() - begin));
    const auto logits = run(features, exit, part);
    for (size_t i = 0; i < part.size(); ++i) read(part[i], logits.subspan(i * width_, width_));
  }
  return ok_status();
}

float ExitBatch::probability(std::span<const float> logits, int64_t place, float temperature) {
  scaled_.assign(logits.begin(), logits.end());
  kernels::scale(scaled_.data(), width_, 1 / temperature);
  return std::exp(scaled_[place] - kernels::log_sum_exp(scaled_.data(), width_));
}

}  // namespace callie::tune
