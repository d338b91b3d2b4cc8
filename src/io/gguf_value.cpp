#include <limits>
#include <optional>

#include "io/byte_reader.h"
#include "io/gguf.h"
#include "io/quote.h"

namespace callie::io {
namespace {

Status wrong_type(const GgufValue& value, std::string_view wanted) {
  if (value.type == GgufType::kArray) {
    return data_loss("metadata {}: is an array of {}, expected {}", quote(value.key),
                     gguf_type_name(value.element), wanted);
  }
  return data_loss("metadata {}: is of type {}, expected {}", quote(value.key),
                   gguf_type_name(value.type), wanted);
}

/// The next integer of `type`; nullopt for a type that is none. `fits` is false for a u64 past the
/// range of int64.
std::optional<int64_t> next_int(ByteReader& reader, GgufType type, bool& fits) {
  fits = true;
  switch (type) {
    case GgufType::kU8:
      return *reader.read<uint8_t>();
    case GgufType::kI8:
      return *reader.read<int8_t>();
    case GgufType::kU16:
      return *reader.read<uint16_t>();
    case GgufType::kI16:
      return *reader.read<int16_t>();
    case GgufType::kU32:
      return *reader.read<uint32_t>();
    case GgufType::kI32:
      return *reader.read<int32_t>();
    case GgufType::kI64:
      return *reader.read<int64_t>();
    case GgufType::kU64: {
      const uint64_t value = *reader.read<uint64_t>();
      fits = value <= uint64_t{std::numeric_limits<int64_t>::max()};
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> next_float(ByteReader& reader, GgufType type) {
  if (type == GgufType::kF32) return *reader.read<float>();
  if (type == GgufType::kF64) return *reader.read<double>();
  bool fits = true;
  const auto value = next_int(reader, type, fits);
  if (!value) return std::nullopt;
  return fits ? static_cast<double>(*value) : static_cast<double>(static_cast<uint64_t>(*value));
}

StatusOr<int64_t> read_int(ByteReader& reader, const GgufValue& value) {
  bool fits = true;
  const auto number = next_int(reader, value.element, fits);
  if (!number) return wrong_type(value, value.type == GgufType::kArray ? "integers" : "an integer");
  if (!fits)
    return data_loss("metadata {}: {} is out of range", quote(value.key),
                     static_cast<uint64_t>(*number));
  return *number;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  switch (type) {
    case GgufType::kU8:
      return "u8";
    case GgufType::kI8:
      return "i8";
    case GgufType::kU16:
      return "u16";
    case GgufType::kI16:
      return "i16";
    case GgufType::kU32:
      return "u32";
    case GgufType::kI32:
      return "i32";
    case GgufType::kF32:
      return "f32";
    case GgufType::kBool:
      return "bool";
    case GgufType::kString:
      return "string";
    case GgufType::kArray:
      return "array";
    case GgufType::kU64:
      return "u64";
    case GgufType::kI64:
      return "i64";
    case GgufType::kF64:
      return "f64";
  }
  return "?";
}

StatusOr<int64_t> gguf_int(const GgufValue& value) {
  if (value.type == GgufType::kArray) return wrong_type(value, "an integer");
  ByteReader reader(value.bytes);
  return read_int(reader, value);
}

StatusOr<double> gguf_float(const GgufValue& value) {
  if (value.type == GgufType::kArray) return wrong_type(value, "a number");
  ByteReader reader(value.bytes);
  const auto number = next_float(reader, value.type);
  if (!number) return wrong_type(value, "a number");
  return *number;
}

StatusOr<bool> gguf_bool(const GgufValue& value) {
  if (value.type != GgufType::kBool) return wrong_type(value, "a bool");
  if (value.bytes[0] > 1)
    return data_loss("metadata {}: {} is neither 0 nor 1", quote(value.key), value.bytes[0]);
  return value.bytes[0] == 1;
}

StatusOr<std::string_view> gguf_string(const GgufValue& value) {
  if (value.type != GgufType::kString) return wrong_type(value, "a string");
  return *ByteReader(value.bytes).read_string();
}

StatusOr<std::vector<int64_t>> gguf_ints(const GgufValue& value) {
  if (value.type != GgufType::kArray) return wrong_type(value, "an array of integers");
  if (value.element == GgufType::kString) return wrong_type(value, "integers");
  if (value.element == GgufType::kBool)
    return std::vector<int64_t>(value.bytes.begin(), value.bytes.end());
  ByteReader reader(value.bytes);
  std::vector<int64_t> numbers;
  numbers.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    CALLIE_ASSIGN_OR_RETURN(const int64_t number, read_int(reader, value));
    numbers.push_back(number);
  }
  return numbers;
}

StatusOr<std::vector<float>> gguf_floats(const GgufValue& value) {
  if (value.type != GgufType::kArray) return wrong_type(value, "an array of numbers");
  ByteReader reader(value.bytes);
  std::vector<float> numbers;
  for (uint64_t i = 0; i < value.count; ++i) {
    const auto number = next_float(reader, value.element);
    if (!number) return wrong_type(value, "numbers");
    numbers.push_back(static_cast<float>(*number));
  }
  return numbers;
}

StatusOr<std::vector<std::string>> gguf_strings(const GgufValue& value) {
  if (value.type != GgufType::kArray) return wrong_type(value, "an array of strings");
  if (value.element != GgufType::kString) return wrong_type(value, "strings");
  ByteReader reader(value.bytes);
  std::vector<std::string> strings;
  strings.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) strings.emplace_back(*reader.read_string());
  return strings;
}

}  // namespace callie::io
