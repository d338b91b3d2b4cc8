#pragma once

#include <memory>
#include <string>

#include "core/status.h"
#include "io/checkpoint.h"

namespace callie::io {

/// Opens a Hugging Face folder: config.json with model.safetensors, or model.safetensors.index.json
/// and its shards. Errors: as Checkpoint::open.
StatusOr<std::unique_ptr<Checkpoint>> open_hugging_face(const std::string& folder);

}  // namespace callie::io
