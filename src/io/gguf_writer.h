#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "io/gguf.h"

namespace callie::io {

/// Writes a GGUF v3 file: first all metadata and tensor declarations, then the data of each tensor
/// in the declared order. Data is streamed; nothing but the header is held in memory. The file
/// appears when finish() succeeds.
class GgufWriter {
 public:
  explicit GgufWriter(uint64_t alignment = 32) : alignment_(alignment) {}

  void set_u32(std::string_view key, uint32_t value);
  void set_i32(std::string_view key, int32_t value);
  void set_u64(std::string_view key, uint64_t value);
  void set_u16(std::string_view key, uint16_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_i32s(std::string_view key, std::span<const int32_t> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  void set_strings(std::string_view key, std::span<const std::string> values);
  /// Copies a value as it stands in another file.
  void set(const GgufValue& value);

  /// Declares a tensor; `shape` is outermost first. Its size follows from type and shape.
  /// Errors: kInvalidArgument (rows that are no whole number of blocks, zero or negative extents,
  /// more than 4 of them).
  Status declare(std::string_view name, tensor::StorageType type, std::span<const int64_t> shape);

  /// Writes the whole file; `data(i)` gives the bytes of tensor i, which must have the declared
  /// size. Errors: kResourceExhausted (disk), kInvalidArgument (another size), what `data` returns.
  /// Nothing is left then.
  Status write(const std::string& path,
               const std::function<StatusOr<std::span<const uint8_t>>(size_t index)>& data) const;

  /// The file as bytes, for tests and small files.
  StatusOr<std::vector<uint8_t>> bytes(std::span<const std::span<const uint8_t>> data) const;

 private:
  struct Declared {
    std::string name;
    tensor::StorageType type;
    std::vector<int64_t> shape;
    uint64_t offset, size;
  };
  void begin(std::string_view key, GgufType type);
  std::string header() const;
  uint64_t padding(uint64_t position) const {
    return (alignment_ - position % alignment_) % alignment_;
  }

  uint64_t alignment_;
  uint64_t n_values_ = 0;
  std::string values_;
  std::vector<Declared> tensors_;
  uint64_t data_size_ = 0;
};

}  // namespace callie::io
