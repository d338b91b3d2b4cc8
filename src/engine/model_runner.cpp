#include "engine/model_runner.h"

#include <algorithm>

namespace callie {

ModelRunner::ModelRunner(std::shared_ptr<const Model> model, int64_t max_rows,
                         nn::Precision precision, ThreadPool& pool)
    : model_(std::move(model)),
      max_rows_(max_rows),
      precision_(precision),
      pool_(&pool),
      workspace_(nn::Decoder::make_workspace(model_->spec(), max_rows, pool.size())) {}

std::span<const float> ModelRunner::forward(const nn::ForwardBatch& batch, const nn::Taps* taps) {
  const auto n_logits = std::count_if(batch.rows.begin(), batch.rows.end(),
                                      [](const nn::ForwardRow& row) { return row.wants_logits; });
  const int64_t width = taps && taps->head ? taps->head->rows() : vocab_size();
  const size_t size = static_cast<size_t>(n_logits) * width;
  if (logits_.size() < size) logits_.resize(size);
  model_->decoder().forward(batch, precision_, taps, *workspace_, logits_.data(), *pool_);
  return {logits_.data(), size};
}

}  // namespace callie
