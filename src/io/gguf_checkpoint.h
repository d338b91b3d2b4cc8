#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/status.h"
#include "io/checkpoint.h"

namespace callie::io {

/// Opens a GGUF file; of a split model (PREFIX-00001-of-00003.gguf) any part, the others lie beside
/// it. Errors: as Checkpoint::open.
StatusOr<std::unique_ptr<Checkpoint>> open_gguf(const std::string& path);

/// The place of a file in a split model, read from its name.
struct SplitName {
  std::string prefix;  ///< everything before "-00001-of-00003.gguf"
  int part;            ///< from 1
  int count;

  std::string part_path(int number) const;
};

/// nullopt when `path` does not end in -NNNNN-of-NNNNN.gguf.
std::optional<SplitName> parse_split_name(const std::string& path);

}  // namespace callie::io
