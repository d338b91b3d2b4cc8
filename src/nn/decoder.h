#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "nn/decoder_spec.h"
#include "nn/forward_batch.h"
#include "nn/linear.h"
#include "nn/taps.h"
#include "tensor/packed_matrix.h"

namespace callie::nn {

struct DecoderLayer {
  std::vector<float> attention_norm, ffn_norm;                    ///< [hidden_size]
  std::vector<float> query_norm, key_norm;                        ///< [head_dim]? with qk_norm
  std::vector<float> post_attention_norm, post_ffn_norm;          ///< [hidden_size]? with post_norms
  Linear qkv;      ///< hidden -> (n_heads + 2 n_kv_heads) * head_dim: queries, keys, values
  Linear output;   ///< n_heads * head_dim -> hidden
  Linear gate_up;  ///< hidden -> 2 * ffn: gate, up
  Linear down;     ///< ffn -> hidden
};

struct DecoderWeights {
  tensor::PackedMatrix embedding;  ///< [vocab_size, hidden_size]
  Linear head;                     ///< hidden -> vocab_size; with a tied head its one part shares embedding's memory
  std::vector<float> output_norm;  ///< [hidden_size]
  std::vector<DecoderLayer> layers;
};

/// A decoder-only transformer: weights and the forward pass. Immutable; several passes may run at once, each with a
/// workspace of its own.
class Decoder {
 public:
  /// Errors: kInvalidArgument (a rotary embedding that does not fit the heads).
  static StatusOr<std::unique_ptr<Decoder>> create(DecoderSpec spec, DecoderWeights weights);
  ~Decoder();

  const DecoderSpec& spec() const { return spec_; }
  const DecoderWeights& weights() const { return weights_; }
  /// One for each of spec().ropes.
  const std::vector<kernels::Rope>& ropes() const { return ropes_; }

  /// Scratch memory of a pass of at most `max_rows` rows.
  class Workspace;
  static std::unique_ptr<Workspace, void (*)(Workspace*)> make_workspace(const DecoderSpec& spec, int64_t max_rows,
                                                                         int n_threads);

  /// Runs the rows of `batch`, writes their keys and values, and puts the logits of the rows that want them into
  /// `logits` [n rows that want logits, vocab_size], in row order.
  ///
  /// The logits of a row depend on the tokens of its path and the weights only: not on the other rows, the number of
  /// threads, or how the path was split into passes.
  void forward(const ForwardBatch& batch, Precision precision, const Taps* taps, Workspace& workspace, float* logits,
               ThreadPool& pool) const;

  /// Bytes of the packed tensors that a decode step reads.
  int64_t bytes_per_token() const;
  /// Multiply-accumulates of one token's matrix products, without the head.
  int64_t macs_per_token() const;

 private:
  Decoder(DecoderSpec spec, DecoderWeights weights, std::vector<kernels::Rope> ropes);

  DecoderSpec spec_;
  DecoderWeights weights_;
  std::vector<kernels::Rope> ropes_;
};

}  // namespace callie::nn
