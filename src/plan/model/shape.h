#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::plan {

/// The sizes of a decoder that decide its work, weights and KV cache. Nothing here knows a model's name.
struct ModelShape {
  std::string name;
  int layers = 0;
  int hidden = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int64_t intermediate = 0;  ///< width of a dense MLP (of the dense layers, where others hold experts)
  int64_t vocabulary = 0;
  bool gated = true;       ///< gate and up projection
  bool tied = false;       ///< the embedding is also the head
  bool decoder = true;     ///< false: an encoder (embedding model)
  int experts = 0;         ///< routed experts of a mixture layer; 0 = dense
  int experts_per_token = 0;
  int64_t expert_intermediate = 0;
  int64_t shared_intermediate = 0;  ///< summed width of the experts that every token visits
  int first_dense_layers = 0;
  int kv_rank = 0;   ///< latent attention: rank of the compressed KV; 0 = ordinary attention
  int q_rank = 0;    ///< latent attention: rank of the compressed query; 0 = full
  int rope_dim = 0;  ///< latent attention: rotary part of a head
  int nope_dim = 0;  ///< latent attention: plain part of a head
  int v_dim = 0;     ///< latent attention: value head
  int window = 0;             ///< sliding window in tokens; 0 = none
  double window_share = 0;    ///< share of the layers that use the window
  int64_t max_context = 0;

  bool mixture() const { return experts > 0; }
  int mixture_layers() const { return mixture() ? layers - first_dense_layers : 0; }
  int dense_layers() const { return layers - mixture_layers(); }

  /// Parameters of one layer's attention projections.
  double attention_parameters() const;
  /// Parameters of one dense MLP.
  double mlp_parameters() const;
  /// Parameters of one expert.
  double expert_parameters() const;
  /// Parameters that every token visits in a mixture layer beside its routed experts: router and shared experts.
  double shared_parameters() const;
  /// All parameters, embedding and head included.
  double parameters() const;
  /// KV elements of one token in one layer (2 * kv heads * head size, or latent rank + rotary part).
  double kv_elements() const;
  /// kappa: KV bytes of one token over all layers.
  double kv_bytes_per_token(double bytes_per_element) const { return kv_elements() * bytes_per_element * layers; }
  /// Multiply-adds of one (query, key) pair in one layer, both products: heads * (key size + value size).
  double attention_macs_per_pair() const;

  /// Errors: kInvalidArgument naming the field.
  Status check() const;
};

/// The built-in catalogue: names as on Hugging Face, short aliases as well, without case.
StatusOr<ModelShape> find_model(std::string_view name);
std::vector<std::string> model_names();

/// A Hugging Face config.json. Errors: kNotFound, kDataLoss with file and field.
StatusOr<ModelShape> model_from_config(const std::string& path);

}  // namespace callie::plan
