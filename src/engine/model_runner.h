#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/model.h"
#include "nn/decoder.h"

namespace callie {

/// Runs forward passes of one model: scratch memory for up to `max_rows` rows and the logits of the last pass.
/// One pass at a time.
class ModelRunner {
 public:
  ModelRunner(std::shared_ptr<const Model> model, int64_t max_rows, nn::Precision precision,
              ThreadPool& pool);

  /// The logits of the rows that want them, [n, vocab_size] in row order ([n, head->rows()] with Taps::head); valid
  /// until the next pass. Precondition:
  /// at most max_rows() rows whose blocks cover their slots.
  std::span<const float> forward(const nn::ForwardBatch& batch, const nn::Taps* taps = nullptr);

  const Model& model() const { return *model_; }
  std::shared_ptr<const Model> shared_model() const { return model_; }
  int64_t max_rows() const { return max_rows_; }
  int64_t vocab_size() const { return model_->spec().vocab_size; }
  ThreadPool& pool() { return *pool_; }

 private:
  std::shared_ptr<const Model> model_;
  int64_t max_rows_;
  nn::Precision precision_;
  ThreadPool* pool_;
  std::unique_ptr<nn::Decoder::Workspace, void (*)(nn::Decoder::Workspace*)> workspace_;
  std::vector<float> logits_;
};

}  // namespace callie
