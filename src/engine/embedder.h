#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "nn/encoder.h"
#include "tokenizer/tokenizer.h"

namespace callie {

/// Sentence vectors from a BERT encoder: mean of the last hidden states, length 1.
class Embedder {
 public:
  /// Errors name the file and the tensor or key; kUnimplemented for other architectures.
  static StatusOr<std::unique_ptr<Embedder>> load(const std::string& path, Context& context);

  struct Embedding {
    std::vector<float> vector;  ///< [dimension()]
    int64_t tokens = 0;
    bool truncated = false;     ///< the text was longer than the context
  };
  StatusOr<Embedding> embed(std::string_view text, nn::Precision precision = nn::Precision::kDefault) const;

  /// The same for tokens that are there already (1..context() of them).
  std::vector<float> embed_tokens(std::span<const int32_t> tokens, nn::Precision precision) const {
    return nn::mean_pool_unit(encoder_->forward(tokens, precision, *pool_), dimension());
  }

  int64_t dimension() const { return encoder_->spec().hidden_size; }
  int64_t context() const { return encoder_->spec().context; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::unique_ptr<nn::Encoder> encoder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  ThreadPool* pool_ = nullptr;
};

}  // namespace callie
