#include "io/checkpoint.h"

#include <filesystem>

#include "io/gguf_checkpoint.h"
#include "io/hf_checkpoint.h"

namespace callie::io {

StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::open(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_hugging_face(path);
  return open_gguf(path);
}

}  // namespace callie::io
