#include "models/hyper_parameters.h"

#include <algorithm>
#include <cmath>

namespace callie::models {
namespace {

template <typename T, typename Get>
StatusOr<T> value_or(const io::Checkpoint& checkpoint, std::string_view key, T otherwise, Get get) {
  if (!checkpoint.has(key)) return otherwise;
  return get();
}

Status check_spec(const io::Checkpoint& checkpoint, const nn::DecoderSpec& spec) {
  constexpr int64_t kLargest = int64_t{1} << 24;
  const struct {
    const char* name;
    int64_t value, largest;
  } sizes[] = {{"hidden size", spec.hidden_size, kLargest}, {"feed-forward size", spec.ffn_size, kLargest},
               {"number of layers", static_cast<int64_t>(spec.layers.size()), 4096},
               {"number of heads", spec.n_heads, 65536},    {"number of key-value heads", spec.n_kv_heads, 65536},
               {"head dimension", spec.head_dim, 4096},     {"context length", spec.context, int64_t{1} << 30}};
  for (const auto& size : sizes) {
    if (size.value < 1 || size.value > size.largest) {
      return data_loss("{}: {} {} is not in 1..{}", checkpoint.path(), size.name, size.value, size.largest);
    }
  }
  if (spec.n_heads % spec.n_kv_heads != 0) {
    return data_loss("{}: {} heads are not a multiple of {} key-value heads", checkpoint.path(), spec.n_heads,
                     spec.n_kv_heads);
  }
  const kernels::RopeOptions& rope = spec.ropes.front();
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0 || rope.rotary_dim > spec.head_dim) {
    return data_loss("{}: rotary dimension {} does not fit heads of {}", checkpoint.path(), rope.rotary_dim, spec.head_dim);
  }
  if (!(rope.base > 0) || !std::isfinite(rope.base) || !(rope.factor > 0) || !std::isfinite(rope.factor)) {
    return data_loss("{}: rotary base {} or factor {} is not a positive number", checkpoint.path(), rope.base,
                     rope.factor);
  }
  if (!(spec.norm_eps >= 0) || spec.norm_eps > 1) {
    return data_loss("{}: norm epsilon {} is not in 0..1", checkpoint.path(), spec.norm_eps);
  }
  return ok_status();
}

Status read_gguf_rope(const io::Checkpoint& checkpoint, const std::string& arch, kernels::RopeOptions* rope) {
  CALLIE_ASSIGN_OR_RETURN(rope->base, float_or(checkpoint, arch + ".rope.freq_base", 10000));
  CALLIE_ASSIGN_OR_RETURN(const std::string type, string_or(checkpoint, arch + ".rope.scaling.type", "none"));
  // Files before the scaling keys existed carry the linear factor alone.
  CALLIE_ASSIGN_OR_RETURN(const double old_linear, float_or(checkpoint, arch + ".rope.scale_linear", 1));
  CALLIE_ASSIGN_OR_RETURN(rope->factor, float_or(checkpoint, arch + ".rope.scaling.factor", old_linear));
  CALLIE_ASSIGN_OR_RETURN(rope->original_context,
                          int_or(checkpoint, arch + ".rope.scaling.original_context_length", 0));
  CALLIE_ASSIGN_OR_RETURN(rope->attention_factor, float_or(checkpoint, arch + ".rope.scaling.attn_factor", 0));
  CALLIE_ASSIGN_OR_RETURN(rope->beta_fast, float_or(checkpoint, arch + ".rope.scaling.yarn_beta_fast", 32));
  CALLIE_ASSIGN_OR_RETURN(rope->beta_slow, float_or(checkpoint, arch + ".rope.scaling.yarn_beta_slow", 1));
  if (type == "linear" || (type == "none" && old_linear != 1)) {
    rope->scaling = kernels::RopeScaling::kLinear;
  } else if (type == "yarn") {
    rope->scaling = kernels::RopeScaling::kYarn;
  } else if (type != "none") {
    return error(StatusCode::kUnimplemented, "{}: {}.rope.scaling.type '{}' is not supported", checkpoint.path(), arch,
                 type);
  }
  return ok_status();
}

StatusOr<nn::DecoderSpec> read_gguf(const io::Checkpoint& checkpoint) {
  nn::DecoderSpec spec;
  CALLIE_ASSIGN_OR_RETURN(spec.architecture, checkpoint.get_string("general.architecture"));
  const std::string& arch = spec.architecture;
  CALLIE_ASSIGN_OR_RETURN(spec.hidden_size, checkpoint.get_int(arch + ".embedding_length"));
  CALLIE_ASSIGN_OR_RETURN(spec.ffn_size, checkpoint.get_int(arch + ".feed_forward_length"));
  CALLIE_ASSIGN_OR_RETURN(const int64_t n_layers, checkpoint.get_int(arch + ".block_count"));
  CALLIE_ASSIGN_OR_RETURN(spec.n_heads, checkpoint.get_int(arch + ".attention.head_count"));
  CALLIE_ASSIGN_OR_RETURN(spec.n_kv_heads, int_or(checkpoint, arch + ".attention.head_count_kv", spec.n_heads));
  CALLIE_ASSIGN_OR_RETURN(spec.context, checkpoint.get_int(arch + ".context_length"));
  CALLIE_ASSIGN_OR_RETURN(const double eps, float_or(checkpoint, arch + ".attention.layer_norm_rms_epsilon", 1e-5));
  spec.norm_eps = static_cast<float>(eps);
  CALLIE_ASSIGN_OR_RETURN(spec.head_dim, int_or(checkpoint, arch + ".attention.key_length",
                                                spec.n_heads > 0 ? spec.hidden_size / spec.n_heads : 0));
  spec.layers.resize(n_layers > 0 && n_layers <= 4096 ? n_layers : 0);
  kernels::RopeOptions rope;
  CALLIE_RETURN_IF_ERROR(read_gguf_rope(checkpoint, arch, &rope));
  CALLIE_ASSIGN_OR_RETURN(const int64_t rotary_dim, int_or(checkpoint, arch + ".rope.dimension_count", spec.head_dim));
  rope.rotary_dim = static_cast<int>(std::clamp<int64_t>(rotary_dim, 0, 1 << 20));
  spec.ropes.push_back(rope);
  return spec;
}

StatusOr<nn::DecoderSpec> read_hugging_face(const io::Checkpoint& checkpoint) {
  nn::DecoderSpec spec;
  CALLIE_ASSIGN_OR_RETURN(spec.architecture, checkpoint.get_string("model_type"));
  CALLIE_ASSIGN_OR_RETURN(spec.hidden_size, checkpoint.get_int("hidden_size"));
  CALLIE_ASSIGN_OR_RETURN(spec.ffn_size, checkpoint.get_int("intermediate_size"));
  CALLIE_ASSIGN_OR_RETURN(const int64_t n_layers, checkpoint.get_int("num_hidden_layers"));
  CALLIE_ASSIGN_OR_RETURN(spec.n_heads, checkpoint.get_int("num_attention_heads"));
  CALLIE_ASSIGN_OR_RETURN(spec.n_kv_heads, int_or(checkpoint, "num_key_value_heads", spec.n_heads));
  CALLIE_ASSIGN_OR_RETURN(spec.context, int_or(checkpoint, "max_position_embeddings", 2048));
  CALLIE_ASSIGN_OR_RETURN(const double eps, float_or(checkpoint, "rms_norm_eps", 1e-6));
  spec.norm_eps = static_cast<float>(eps);
  CALLIE_ASSIGN_OR_RETURN(spec.head_dim,
                          int_or(checkpoint, "head_dim", spec.n_heads > 0 ? spec.hidden_size / spec.n_heads : 0));
  CALLIE_ASSIGN_OR_RETURN(spec.tied_head, bool_or(checkpoint, "tie_word_embeddings", false));
  spec.layers.resize(n_layers > 0 && n_layers <= 4096 ? n_layers : 0);
  kernels::RopeOptions rope;
  rope.style = kernels::RopeStyle::kHalf;
  rope.rotary_dim = static_cast<int>(std::clamp<int64_t>(spec.head_dim, 0, 1 << 20));
  // Newer files keep the base and the scaling together below rope_parameters.
  CALLIE_ASSIGN_OR_RETURN(const double base, float_or(checkpoint, "rope_theta", 10000));
  CALLIE_ASSIGN_OR_RETURN(rope.base, float_or(checkpoint, "rope_parameters.rope_theta", base));
  for (const char* prefix : {"rope_scaling", "rope_parameters"}) {
    CALLIE_RETURN_IF_ERROR(read_hugging_face_rope_scaling(checkpoint, prefix, &rope));
  }
  spec.ropes.push_back(rope);
  return spec;
}

}  // namespace

StatusOr<int64_t> int_or(const io::Checkpoint& checkpoint, std::string_view key, int64_t otherwise) {
  return value_or<int64_t>(checkpoint, key, otherwise, [&] { return checkpoint.get_int(key); });
}
StatusOr<double> float_or(const io::Checkpoint& checkpoint, std::string_view key, double otherwise) {
  return value_or<double>(checkpoint, key, otherwise, [&] { return checkpoint.get_float(key); });
}
StatusOr<bool> bool_or(const io::Checkpoint& checkpoint, std::string_view key, bool otherwise) {
  return value_or<bool>(checkpoint, key, otherwise, [&] { return checkpoint.get_bool(key); });
}
StatusOr<std::string> string_or(const io::Checkpoint& checkpoint, std::string_view key, const std::string& otherwise) {
  return value_or<std::string>(checkpoint, key, otherwise, [&] { return checkpoint.get_string(key); });
}

Status read_hugging_face_rope_scaling(const io::Checkpoint& checkpoint, const std::string& prefix, kernels::RopeOptions* rope) {
  CALLIE_ASSIGN_OR_RETURN(const std::string old_type, string_or(checkpoint, prefix + ".type", "default"));
  CALLIE_ASSIGN_OR_RETURN(const std::string type, string_or(checkpoint, prefix + ".rope_type", old_type));
  if (type == "default") return ok_status();
  CALLIE_ASSIGN_OR_RETURN(rope->factor, float_or(checkpoint, prefix + ".factor", 1));
  CALLIE_ASSIGN_OR_RETURN(rope->original_context,
                          int_or(checkpoint, prefix + ".original_max_position_embeddings", rope->original_context));
  if (type == "linear") {
    rope->scaling = kernels::RopeScaling::kLinear;
  } else if (type == "llama3") {
    rope->scaling = kernels::RopeScaling::kLlama3;
    CALLIE_ASSIGN_OR_RETURN(rope->low_freq_factor, checkpoint.get_float(prefix + ".low_freq_factor"));
    CALLIE_ASSIGN_OR_RETURN(rope->high_freq_factor, checkpoint.get_float(prefix + ".high_freq_factor"));
  } else if (type == "yarn") {
    rope->scaling = kernels::RopeScaling::kYarn;
    CALLIE_ASSIGN_OR_RETURN(rope->beta_fast, float_or(checkpoint, prefix + ".beta_fast", 32));
    CALLIE_ASSIGN_OR_RETURN(rope->beta_slow, float_or(checkpoint, prefix + ".beta_slow", 1));
    CALLIE_ASSIGN_OR_RETURN(rope->attention_factor, float_or(checkpoint, prefix + ".attention_factor", 0));
  } else {
    return error(StatusCode::kUnimplemented, "{}: {}.rope_type '{}' is not supported", checkpoint.path(), prefix, type);
  }
  return ok_status();
}

StatusOr<nn::DecoderSpec> read_common_spec(const io::Checkpoint& checkpoint) {
  auto spec = checkpoint.kind() == io::CheckpointKind::kGguf ? read_gguf(checkpoint) : read_hugging_face(checkpoint);
  if (!spec.ok()) return spec.status();
  CALLIE_RETURN_IF_ERROR(check_spec(checkpoint, *spec));
  spec->ropes[0].head_dim = static_cast<int>(spec->head_dim);
  if (spec->ropes[0].original_context == 0) spec->ropes[0].original_context = spec->context;
  return spec;
}

}  // namespace callie::models
