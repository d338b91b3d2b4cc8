#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::serve {

/// One key a line; blank lines and those beginning with '#' are skipped, blanks at the end of a line too.
std::vector<std::string> keys_in(std::string_view text);

/// The keys that clients may show. Kept as SHA-256 digests, compared in constant time.
class ApiKeys {
 public:
  /// Those of a file (keys_in). Errors: kNotFound; kInvalidArgument (no key in it).
  static StatusOr<ApiKeys> read(const std::string& path);

  void add(std::string_view key);
  bool empty() const { return digests_.empty(); }
  /// True when there are no keys, or when `authorization` is "Bearer KEY" with one of them.
  bool allow(std::string_view authorization) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  std::vector<Digest> digests_;
};

}  // namespace callie::serve
