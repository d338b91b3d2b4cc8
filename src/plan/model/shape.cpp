#include "plan/model/shape.h"

namespace callie::plan {

double ModelShape::attention_parameters() const {
  const double h = hidden;
  if (kv_rank > 0) {
    const double head = rope_dim + nope_dim;
    const double q = q_rank > 0 ? h * q_rank + q_rank * heads * head : h * heads * head;
    const double kv = h * (kv_rank + rope_dim) + static_cast<double>(kv_rank) * heads * (nope_dim + v_dim);
    return q + kv + static_cast<double>(heads) * v_dim * h;
  }
  const double q = static_cast<double>(heads) * head_dim;
  return h * (q + 2.0 * kv_heads * head_dim) + q * h;
}

double ModelShape::mlp_parameters() const { return (gated ? 3.0 : 2.0) * hidden * static_cast<double>(intermediate); }

double ModelShape::expert_parameters() const { return 3.0 * hidden * static_cast<double>(expert_intermediate); }

double ModelShape::shared_parameters() const {
  return static_cast<double>(hidden) * experts + 3.0 * hidden * static_cast<double>(shared_intermediate);
}

double ModelShape::parameters() const {
  const double embedding = static_cast<double>(vocabulary) * hidden * (tied || !decoder ? 1 : 2);
  return embedding + layers * (attention_parameters() + 2.0 * hidden) + dense_layers() * mlp_parameters() +
         mixture_layers() * (shared_parameters() + experts * expert_parameters());
}

double ModelShape::kv_elements() const {
  return kv_rank > 0 ? kv_rank + rope_dim : 2.0 * kv_heads * head_dim;
}

double ModelShape::attention_macs_per_pair() const {
  if (kv_rank > 0) return static_cast<double>(heads) * (nope_dim + rope_dim + v_dim);
  return 2.0 * heads * head_dim;
}

Status ModelShape::check() const {
  const auto positive = [&](double value, const char* field) {
    return value > 0 ? ok_status() : invalid_argument("{}: {} must be above 0", name, field);
  };
  CALLIE_RETURN_IF_ERROR(positive(layers, "num_hidden_layers"));
  CALLIE_RETURN_IF_ERROR(positive(hidden, "hidden_size"));
  CALLIE_RETURN_IF_ERROR(positive(heads, "num_attention_heads"));
  CALLIE_RETURN_IF_ERROR(positive(kv_heads, "num_key_value_heads"));
  CALLIE_RETURN_IF_ERROR(positive(head_dim, "head_dim"));
  CALLIE_RETURN_IF_ERROR(positive(vocabulary, "vocab_size"));
  if (dense_layers() > 0) CALLIE_RETURN_IF_ERROR(positive(intermediate, "intermediate_size"));
  if (first_dense_layers < 0 || first_dense_layers > layers) {
    return invalid_argument("{}: first_k_dense_replace outside 0..num_hidden_layers", name);
  }
  if (mixture()) {
    CALLIE_RETURN_IF_ERROR(positive(expert_intermediate, "moe_intermediate_size"));
    if (experts_per_token < 1 || experts_per_token > experts) {
      return invalid_argument("{}: num_experts_per_tok outside 1..num_experts", name);
    }
  }
  if (window < 0) return invalid_argument("{}: sliding_window is negative", name);
  return ok_status();
}

}  // namespace callie::plan
