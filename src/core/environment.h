#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"

namespace callie {

/// What the environment's variables say; read once, at the start of a command, and handed down.
struct Environment {
  /// CALLIE_CACHE, else XDG_CACHE_HOME/callie, else HOME/.cache/callie: models and packed weights.
  std::string cache_folder;
  /// CALLIE_MODELS: a folder with NAME.gguf or NAME/ that is looked at before the cache; may be
  /// empty.
  std::string models_folder;
  /// HF_ENDPOINT, else the public hub; without a slash at the end.
  std::string hub;
  /// CALLIE_PACKED_LIMIT: bytes that the packed cache may hold ("20G" works); 16 GiB when unset.
  uint64_t packed_limit_bytes = uint64_t{16} << 30;

  /// Errors: kInvalidArgument (names the variable).
  static StatusOr<Environment> from_process();

  std::string downloads_folder() const { return cache_folder + "/models"; }
  std::string packed_folder() const { return cache_folder + "/packed"; }
};

}  // namespace callie
