#include "io/checkpoint.h"

#include <filesystem>

#include "io/gguf_checkpoint.h"

namespace callie::io {

StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::open(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return error(StatusCode::kUnimplemented, "{}: is a folder, expected a GGUF file", path);
  }
  return open_gguf(path);
}

}  // namespace callie::io
