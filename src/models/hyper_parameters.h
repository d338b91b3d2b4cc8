#pragma once

#include "core/status.h"
#include "io/checkpoint.h"
#include "nn/decoder_spec.h"

namespace callie::models {

/// Metadata with a default: the value where the key exists, `otherwise` where it does not. A key of the wrong type is an
/// error all the same.
StatusOr<int64_t> int_or(const io::Checkpoint& checkpoint, std::string_view key, int64_t otherwise);
StatusOr<double> float_or(const io::Checkpoint& checkpoint, std::string_view key, double otherwise);
StatusOr<bool> bool_or(const io::Checkpoint& checkpoint, std::string_view key, bool otherwise);
StatusOr<std::string> string_or(const io::Checkpoint& checkpoint, std::string_view key, const std::string& otherwise);

/// The hyper-parameters that all decoders share, in either kind of checkpoint: sizes, norm epsilon, RoPE with its
/// scaling, and one full-attention LayerSpec per layer. Sizes are checked for sanity (positive, below 2^31, heads a
/// multiple of key-value heads). Errors name the key.
StatusOr<nn::DecoderSpec> read_common_spec(const io::Checkpoint& checkpoint);

/// RoPE scaling as config.json writes it below `prefix` ("rope_scaling").
Status read_hugging_face_rope_scaling(const io::Checkpoint& checkpoint, const std::string& prefix, kernels::RopeOptions* rope);

}  // namespace callie::models
