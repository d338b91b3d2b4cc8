#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/status.h"

namespace callie::io {

/// The mapped files of a checkpoint, and what identifies them: size, modification time and header
/// of each.
class SourceFiles {
 public:
  /// Maps a file; the bytes stay valid as long as this object. Errors: as MappedFile::open.
  StatusOr<std::span<const uint8_t>> add(const std::string& path);
  /// Counts the header of the file that was added last (or a file that is not mapped) into the
  /// fingerprint.
  Status identify(const std::string& path, std::span<const uint8_t> header);

  uint64_t fingerprint() const { return hash_.digest(); }
  /// Gives the pages of `part` back to the system.
  void release(std::span<const uint8_t> part) const;

 private:
  std::vector<MappedFile> files_;
  Xxh64Stream hash_;
};

}  // namespace callie::io
