// Gemma 3, text: sliding windows with a full layer every sixth, two RoPE bases, QK norm, norms after both halves.

#include <cmath>

#include "models/architecture.h"
#include "models/hyper_parameters.h"

namespace callie::models {
namespace {

constexpr int64_t kFullEvery = 6;

Status set_windows(const io::Checkpoint& checkpoint, nn::DecoderSpec* spec) {
  const bool gguf = checkpoint.kind() == io::CheckpointKind::kGguf;
  CALLIE_ASSIGN_OR_RETURN(const int64_t window,
                          int_or(checkpoint, gguf ? "gemma3.attention.sliding_window" : "sliding_window", 0));
  CALLIE_ASSIGN_OR_RETURN(const int64_t every, int_or(checkpoint, "sliding_window_pattern", kFullEvery));
  std::vector<std::string> types;
  if (!gguf && checkpoint.has("layer_types")) {
    CALLIE_ASSIGN_OR_RETURN(types, checkpoint.get_strings("layer_types"));
    if (types.size() != spec->layers.size()) {
      return data_loss("{}: layer_types has {} entries for {} layers", checkpoint.path(), types.size(),
                       spec->layers.size());
    }
  }
  if (window < 0 || every < 1) return data_loss("{}: sliding window of {} keys", checkpoint.path(), window);
  for (size_t i = 0; i < spec->layers.size(); ++i) {
    const bool full = types.empty() ? (static_cast<int64_t>(i) + 1) % every == 0 : types[i] == "full_attention";
    spec->layers[i] = full ? nn::LayerSpec{0, 0} : nn::LayerSpec{window, 1};
  }
  return ok_status();
}

// Newer files describe the rotary embedding of each kind of layer below rope_parameters.
Status read_rope_by_layer_type(const io::Checkpoint& checkpoint, kernels::RopeOptions* full, kernels::RopeOptions* local) {
  const std::string base = "rope_parameters.";
  for (const auto& [kind, rope] : {std::pair{"full_attention", full}, std::pair{"sliding_attention", local}}) {
    CALLIE_ASSIGN_OR_RETURN(rope->base, float_or(checkpoint, base + kind + ".rope_theta", rope->base));
    CALLIE_RETURN_IF_ERROR(read_hugging_face_rope_scaling(checkpoint, base + kind, rope));
  }
  return ok_status();
}

StatusOr<nn::DecoderSpec> read_spec(const io::Checkpoint& checkpoint) {
  CALLIE_ASSIGN_OR_RETURN(nn::DecoderSpec spec, read_common_spec(checkpoint));
  const bool gguf = checkpoint.kind() == io::CheckpointKind::kGguf;
  spec.architecture = "gemma3";
  spec.qk_norm = spec.post_norms = spec.tied_head = true;
  spec.norm_plus_one = !gguf;  // GGUF has the one already added
  spec.activation = kernels::Activation::kGeluTanh;
  spec.embedding_scale = std::sqrt(static_cast<float>(spec.hidden_size));
  CALLIE_ASSIGN_OR_RETURN(const double scalar,
                          float_or(checkpoint, "query_pre_attn_scalar",
                                   // The 27B model (62 layers) divides by hidden size / heads; GGUF has no key for it.
                                   static_cast<double>(gguf && spec.layers.size() == 62 ? spec.hidden_size / spec.n_heads
                                                                                        : spec.head_dim)));
  spec.attention_scale = static_cast<float>(1 / std::sqrt(scalar));
  CALLIE_ASSIGN_OR_RETURN(const double local_base,
                          float_or(checkpoint, gguf ? "gemma3.rope.local.freq_base" : "rope_local_base_freq", 10000));
  kernels::RopeOptions local;
  local.style = kernels::RopeStyle::kHalf;
  local.rotary_dim = spec.ropes[0].rotary_dim;
  local.head_dim = spec.ropes[0].head_dim;
  local.original_context = spec.context;
  local.base = local_base;
  if (!gguf) CALLIE_RETURN_IF_ERROR(read_rope_by_layer_type(checkpoint, &spec.ropes[0], &local));
  spec.ropes.push_back(local);
  CALLIE_RETURN_IF_ERROR(set_windows(checkpoint, &spec));
  return spec;
}

DecoderTensorNames names(io::CheckpointKind kind) {
  if (kind == io::CheckpointKind::kGguf) return gguf_decoder_names();
  DecoderTensorNames names = hugging_face_decoder_names();
  names.post_attention_norm = "model.layers.{}.post_attention_layernorm.weight";
  names.ffn_norm = "model.layers.{}.pre_feedforward_layernorm.weight";
  names.post_ffn_norm = "model.layers.{}.post_feedforward_layernorm.weight";
  return names;
}

}  // namespace

const DecoderArchitecture kGemma3 = {"gemma3", "gemma3_text", read_spec, names};

}  // namespace callie::models
