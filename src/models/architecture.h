#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/status.h"
#include "io/checkpoint.h"
#include "nn/decoder_spec.h"

namespace callie::models {

/// Where the tensors of a decoder lie in a file; "{}" stands for the layer. An empty name: the architecture has none.
/// Biases are looked for beside the weights (NAME without ".weight" + ".bias") and used where present.
struct DecoderTensorNames {
  std::string embedding, output_norm, head;
  std::string attention_norm, query, key, value, attention_output;
  std::string query_norm, key_norm, post_attention_norm;
  std::string ffn_norm, gate, up, down, post_ffn_norm;
  std::string rope_frequencies;  ///< divisors of the rotary frequencies, one tensor for all layers
};

/// The names that GGUF uses for every decoder.
DecoderTensorNames gguf_decoder_names();
/// The names of Hugging Face's Llama family ("model.layers.{}.self_attn.q_proj.weight").
DecoderTensorNames hugging_face_decoder_names();

/// One architecture: how its hyper-parameters are read from either kind of checkpoint and how its tensors are called.
/// Each lives in a file of its own and stands in the list of registry.cpp.
struct DecoderArchitecture {
  std::string_view gguf_name;          ///< general.architecture
  std::string_view hugging_face_type;  ///< config.json's model_type; several are separated by '|'
  /// Errors: kDataLoss or kNotFound, naming the key.
  StatusOr<nn::DecoderSpec> (*read_spec)(const io::Checkpoint& checkpoint);
  DecoderTensorNames (*names)(io::CheckpointKind kind);
};

std::span<const DecoderArchitecture* const> decoder_architectures();

/// The checkpoint's own name for its architecture ("qwen2"). Errors: kDataLoss.
StatusOr<std::string> architecture_name(const io::Checkpoint& checkpoint);

/// Errors: kUnimplemented names the architecture and those that are known.
StatusOr<const DecoderArchitecture*> find_decoder_architecture(const io::Checkpoint& checkpoint);

// One per file.
extern const DecoderArchitecture kLlama, kQwen2, kQwen3, kGemma3;

}  // namespace callie::models
