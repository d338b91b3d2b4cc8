#pragma once

#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "nn/linear.h"
#include "tensor/packed_matrix.h"

namespace callie::nn {

/// A bidirectional transformer encoder with learned positions and norms after each half (BERT, arXiv 1810.04805).
struct EncoderSpec {
  int64_t vocab_size = 0, hidden_size = 0, ffn_size = 0, n_heads = 0, context = 0;
  float norm_eps = 1e-12f;
};

struct LayerNorm {
  std::vector<float> weight, bias;  ///< [hidden_size]
};

struct EncoderLayer {
  Linear qkv, output, up, down;
  LayerNorm attention_norm, ffn_norm;
};

struct EncoderWeights {
  tensor::PackedMatrix embedding;       ///< [vocab_size, hidden_size]
  std::vector<float> positions;         ///< [context, hidden_size]
  std::vector<float> token_type;        ///< [hidden_size]: the first type's
  LayerNorm embedding_norm;
  std::vector<EncoderLayer> layers;
};

class Encoder {
 public:
  Encoder(EncoderSpec spec, EncoderWeights weights) : spec_(spec), weights_(std::move(weights)) {}

  const EncoderSpec& spec() const { return spec_; }

  /// Hidden states after the last layer, [tokens, hidden_size]. Precondition: 1 <= tokens <= context.
  std::vector<float> forward(std::span<const int32_t> tokens, Precision precision, ThreadPool& pool) const;

 private:
  EncoderSpec spec_;
  EncoderWeights weights_;
};

/// The mean of the rows, scaled to length 1 (sentence-transformers' mean pooling). [hidden_size]
std::vector<float> mean_pool_unit(std::span<const float> hidden, int64_t hidden_size);

}  // namespace callie::nn
