#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/activations.h"
#include "kernels/rope.h"

namespace callie::nn {

struct LayerSpec {
  int64_t window = 0;  ///< keys a query sees, itself included; 0 = all before it
  int rope = 0;        ///< index into DecoderSpec::ropes
};

/// A decoder-only transformer described by its features. The forward pass asks for these, never for a model's name.
struct DecoderSpec {
  std::string architecture;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t ffn_size = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t context = 0;  ///< trained context length
  float norm_eps = 1e-5f;
  bool norm_plus_one = false;   ///< norm weights are stored minus one
  bool qk_norm = false;         ///< RMS norm of every query and key head before RoPE
  bool post_norms = false;      ///< RMS norm of the attention's and the MLP's output before the residual sum
  bool fine_inputs = false;     ///< query, key, value and head read activations of 15 bits (Linear::fine)
  bool tied_head = false;       ///< the embedding table is also the output head
  kernels::Activation activation = kernels::Activation::kSilu;
  float embedding_scale = 1;    ///< factor on token embeddings
  float attention_scale = 0;    ///< factor on q·k; 0 = head_dim^-1/2
  float attention_softcap = 0;  ///< 0 = none
  float logit_softcap = 0;      ///< 0 = none
  std::vector<kernels::RopeOptions> ropes;
  std::vector<LayerSpec> layers;  ///< one per layer

  int64_t q_size() const { return n_heads * head_dim; }
  int64_t kv_size() const { return n_kv_heads * head_dim; }
};

}  // namespace callie::nn
