#pragma once

#include <memory>
#include <string>

#include "engine/embedder.h"
#include "serve/backend.h"

namespace callie::serve {

/// A sentence encoder: answers /v1/embeddings and generates nothing. `path` is where it came from.
std::shared_ptr<Backend> make_encoder_backend(const std::string& id, const std::string& path,
                                              std::unique_ptr<Embedder> embedder);

}  // namespace callie::serve
