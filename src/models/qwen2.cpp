// Qwen2 and Qwen2.5: biases on query, key and value.

#include "models/architecture.h"
#include "models/hyper_parameters.h"

namespace callie::models {
namespace {

DecoderTensorNames names(io::CheckpointKind kind) {
  DecoderTensorNames names =
      kind == io::CheckpointKind::kGguf ? gguf_decoder_names() : hugging_face_decoder_names();
  names.query_norm = names.key_norm = names.post_attention_norm = names.post_ffn_norm = "";
  return names;
}

}  // namespace

const DecoderArchitecture kQwen2 = {"qwen2", "qwen2", read_common_spec, names};

}  // namespace callie::models
