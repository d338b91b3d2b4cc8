#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

namespace callie::io {

/// A file that is being gathered: PATH.part with its bytes, PATH.part.json with where they come
/// from. Held locked while the object lives; what has been written survives it, until finish() or
/// discard().
class PartialFile {
 public:
  /// What is known of the source, as the first response told it.
  struct Source {
    std::string url;
    std::string validator;  ///< strong ETag or Last-Modified, for If-Range; empty when the server
                            ///< gives none
    uint64_t total = 0;     ///< size of the whole file; 0 when unknown
    std::string sha256;     ///< as the server states it; empty when it does not
    uint64_t parts = 0;     ///< for a source in parts: those that are in the file wholly
    uint64_t bytes = 0;     ///< and their bytes
  };

  /// Opens or makes PATH.part. Errors: kFailedPrecondition (another process holds it),
  /// kInvalidArgument.
  static StatusOr<PartialFile> open(const std::string& path);
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile();

  /// The record of PATH.part.json; nullopt when there is none that can be read.
  std::optional<Source> source() const;
  /// Writes the record atomically. Errors: kResourceExhausted.
  Status set_source(const Source& source) const;

  uint64_t size() const { return size_; }
  /// Cuts the file to `size` bytes. Errors: kResourceExhausted.
  Status truncate(uint64_t size);
  /// Errors: kResourceExhausted (disk full).
  Status append(std::span<const uint8_t> bytes);
  /// Takes over what another process has written to the file. Errors: kDataLoss.
  Status refresh();
  const std::string& part_path() const { return part_path_; }

  /// SHA-256 of the content. Errors: kCancelled.
  StatusOr<std::string> sha256() const;
  /// Flushes to disk and gives the file its name. Errors: kResourceExhausted.
  Status finish();
  /// Removes both files.
  void discard();

 private:
  PartialFile() = default;
  std::string path_, part_path_, record_path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace callie::io
