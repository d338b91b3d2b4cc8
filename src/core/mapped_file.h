#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/status.h"

namespace callie {

/// A read-only mapping of a whole file. Movable; the mapping ends with the object.
class MappedFile {
 public:
  /// Errors: kNotFound (no such file), kInvalidArgument (a folder), kResourceExhausted (cannot map).
  static StatusOr<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  /// Gives the pages that lie wholly inside `part` back to the system; they are read again from the file when touched.
  void release(std::span<const uint8_t> part) const;

 private:
  std::string path_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace callie
