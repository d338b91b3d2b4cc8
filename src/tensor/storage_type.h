#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace callie::tensor {

/// How a tensor's elements lie on disk. The numbers are GGUF's own (ggml_type); safetensors dtypes
/// map onto the first three and the integers.
enum class StorageType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kBF16 = 30,
};

struct StorageTypeInfo {
  std::string_view name;   ///< "Q4_K"
  int64_t block_elements;  ///< elements in one block; a row is a whole number of blocks
  int64_t block_bytes;
};

/// nullptr for a number that is not in the enumeration.
const StorageTypeInfo* storage_type_info(StorageType type);

/// The type with that name ("Q4_K", "F16"), in upper case.
std::optional<StorageType> storage_type_from_name(std::string_view name);

}  // namespace callie::tensor
