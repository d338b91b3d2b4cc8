#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace callie::io {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and read in place");

/// Reads little-endian values from a byte range and never past its end: what does not fit is
/// nullopt, and the position stays.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  std::optional<T> read() {
    if (remaining() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  /// The next `size` bytes, in place.
  std::optional<std::span<const uint8_t>> take(uint64_t size) {
    if (remaining() < size) return std::nullopt;
    const auto part = bytes_.subspan(position_, size);
    position_ += size;
    return part;
  }

  /// A 64-bit length and that many bytes.
  std::optional<std::string_view> read_string() {
    const uint64_t start = position_;
    const auto size = read<uint64_t>();
    if (size) {
      if (const auto text = take(*size))
        return std::string_view(reinterpret_cast<const char*>(text->data()), *size);
    }
    position_ = start;
    return std::nullopt;
  }

 private:
  std::span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

}  // namespace callie::io
