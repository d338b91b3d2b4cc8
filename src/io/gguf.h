#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "io/checkpoint.h"

namespace callie::io {

/// The value types of GGUF metadata, with the numbers of the format.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// "u32", "string", "array".
std::string_view gguf_type_name(GgufType type);

/// One metadata value, in place: `bytes` are the value's own bytes in the file. For an array they
/// are its elements
/// (`count` of `element`); strings among them are a 64-bit length and the text.
struct GgufValue {
  std::string_view key;
  GgufType type;
  GgufType element;  ///< equals `type` unless that is kArray
  uint64_t count;    ///< 1 unless `type` is kArray
  std::span<const uint8_t> bytes;
};

/// The parsed header of one GGUF file. Everything in it points into the bytes that were parsed.
struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = 32;
  std::vector<GgufValue> metadata;
  std::vector<TensorRecord> tensors;  ///< in file order, data in range and not overlapping
  std::span<const uint8_t> header;    ///< everything before the tensor data
};

/// Parses the bytes of a GGUF file of version 2 or 3. Nothing is allocated by a count that the file
/// does not back with bytes. Errors: kDataLoss (broken; the message is "field: problem", to be
/// given a context with the file's name), kUnimplemented (version 1, big-endian, or a storage type
/// that is not decoded here).
StatusOr<GgufHeader> parse_gguf(std::span<const uint8_t> bytes);

/// Typed reads of a metadata value. Errors: kDataLoss, naming the key.
StatusOr<int64_t> gguf_int(const GgufValue& value);
StatusOr<double> gguf_float(const GgufValue& value);
StatusOr<bool> gguf_bool(const GgufValue& value);
StatusOr<std::string_view> gguf_string(const GgufValue& value);
/// Bools count as 0 and 1 here.
StatusOr<std::vector<int64_t>> gguf_ints(const GgufValue& value);
StatusOr<std::vector<float>> gguf_floats(const GgufValue& value);
StatusOr<std::vector<std::string>> gguf_strings(const GgufValue& value);

}  // namespace callie::io
