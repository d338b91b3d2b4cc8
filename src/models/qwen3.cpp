// Qwen3 dense: RMS norm of every query and key head, no biases.

#include "models/architecture.h"
#include "models/hyper_parameters.h"

namespace callie::models {
namespace {

StatusOr<nn::DecoderSpec> read_spec(const io::Checkpoint& checkpoint) {
  CALLIE_ASSIGN_OR_RETURN(nn::DecoderSpec spec, read_common_spec(checkpoint));
  spec.qk_norm = true;
  return spec;
}

DecoderTensorNames names(io::CheckpointKind kind) {
  DecoderTensorNames names =
      kind == io::CheckpointKind::kGguf ? gguf_decoder_names() : hugging_face_decoder_names();
  names.post_attention_norm = names.post_ffn_norm = "";
  return names;
}

}  // namespace

const DecoderArchitecture kQwen3 = {"qwen3", "qwen3", read_spec, names};

}  // namespace callie::models
