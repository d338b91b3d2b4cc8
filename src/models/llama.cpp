// Llama 2 and 3, SmolLM2, Mistral.

#include "models/architecture.h"
#include "models/hyper_parameters.h"

namespace callie::models {
namespace {

StatusOr<nn::DecoderSpec> read_spec(const io::Checkpoint& checkpoint) {
  CALLIE_ASSIGN_OR_RETURN(nn::DecoderSpec spec, read_common_spec(checkpoint));
  if (checkpoint.kind() == io::CheckpointKind::kGguf) {
    // GGUF stores the rows of q and k in the order that pairs neighbours.
    spec.ropes[0].style = kernels::RopeStyle::kInterleaved;
  } else if (checkpoint.has("sliding_window")) {
    // Mistral 7B v0.1; later ones carry null, which is no key here.
    CALLIE_ASSIGN_OR_RETURN(const int64_t window, checkpoint.get_int("sliding_window"));
    for (nn::LayerSpec& layer : spec.layers) layer.window = window;
  }
  return spec;
}

DecoderTensorNames names(io::CheckpointKind kind) {
  DecoderTensorNames names =
      kind == io::CheckpointKind::kGguf ? gguf_decoder_names() : hugging_face_decoder_names();
  names.query_norm = names.key_norm = names.post_attention_norm = names.post_ffn_norm = "";
  return names;
}

}  // namespace

const DecoderArchitecture kLlama = {"llama", "llama|mistral", read_spec, names};

}  // namespace callie::models
