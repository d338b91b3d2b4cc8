#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/status.h"

namespace callie::io {

/// SHA-256 of a stream of byte ranges.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const uint8_t> bytes);
  /// 64 lower-case hexadecimal digits; the object is spent.
  std::string hex();

 private:
  void* state_;
};

/// SHA-256 of a file's content. Errors: kNotFound, kCancelled (the user asked to stop).
StatusOr<std::string> sha256_file(const std::string& path);

}  // namespace callie::io
