#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

namespace callie {

/// Writes a file so that readers see the old content or the whole new one: a temporary file in the same folder is
/// renamed on commit(). Destroyed without commit(), it leaves nothing behind.
class AtomicFile {
 public:
  /// Errors: kInvalidArgument (cannot create, names the path).
  static StatusOr<AtomicFile> create(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  /// Errors: kResourceExhausted (disk full); nothing is left after destruction.
  Status write(std::span<const uint8_t> bytes);
  Status write(std::string_view text);
  /// Flushes to disk and renames. With `durable` false the system may write the content later: for files that carry
  /// hashes of their own and can be made again. Errors: kResourceExhausted.
  Status commit(bool durable = true);
  std::FILE* file() { return file_; }

 private:
  AtomicFile(std::string path, std::string temporary, std::FILE* file);
  std::string path_, temporary_;
  std::FILE* file_;
};

/// Writes a whole text file as AtomicFile does. Errors: those of create(), write() and commit().
Status write_text_file(const std::string& path, std::string_view text, bool durable = true);

/// Reads a whole text file. Errors: kNotFound, kInvalidArgument, kResourceExhausted (larger than `max_bytes`).
StatusOr<std::string> read_text_file(const std::string& path, size_t max_bytes = size_t{1} << 30);

}  // namespace callie
