#pragma once

#include <span>
#include <string>

#include "core/hash.h"
#include "core/status.h"

namespace callie::io {

/// Collects what identifies the files of a checkpoint: size, modification time and the bytes of the
/// header of each.
class SourceFingerprint {
 public:
  /// Errors: kNotFound.
  Status add(const std::string& path, std::span<const uint8_t> header);
  uint64_t value() const { return hash_.digest(); }

 private:
  Xxh64Stream hash_;
};

}  // namespace callie::io
