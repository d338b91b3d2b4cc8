#include "tensor/storage_type.h"

#include <array>

namespace callie::tensor {
namespace {

struct Entry {
  StorageType type;
  StorageTypeInfo info;
};

constexpr std::array kEntries = {
    Entry{StorageType::kF32, {"F32", 1, 4}},
    Entry{StorageType::kF16, {"F16", 1, 2}},
    Entry{StorageType::kQ4_0, {"Q4_0", 32, 18}},
    Entry{StorageType::kQ4_1, {"Q4_1", 32, 20}},
    Entry{StorageType::kQ5_0, {"Q5_0", 32, 22}},
    Entry{StorageType::kQ5_1, {"Q5_1", 32, 24}},
    Entry{StorageType::kQ8_0, {"Q8_0", 32, 34}},
    Entry{StorageType::kQ2_K, {"Q2_K", 256, 84}},
    Entry{StorageType::kQ3_K, {"Q3_K", 256, 110}},
    Entry{StorageType::kQ4_K, {"Q4_K", 256, 144}},
    Entry{StorageType::kQ5_K, {"Q5_K", 256, 176}},
    Entry{StorageType::kQ6_K, {"Q6_K", 256, 210}},
    Entry{StorageType::kIQ4_NL, {"IQ4_NL", 32, 18}},
    Entry{StorageType::kIQ4_XS, {"IQ4_XS", 256, 136}},
    Entry{StorageType::kI8, {"I8", 1, 1}},
    Entry{StorageType::kI16, {"I16", 1, 2}},
    Entry{StorageType::kI32, {"I32", 1, 4}},
    Entry{StorageType::kI64, {"I64", 1, 8}},
    Entry{StorageType::kF64, {"F64", 1, 8}},
    Entry{StorageType::kBF16, {"BF16", 1, 2}},
};

}  // namespace

const StorageTypeInfo* storage_type_info(StorageType type) {
  for (const Entry& entry : kEntries) {
    if (entry.type == type) return &entry.info;
  }
  return nullptr;
}

std::optional<StorageType> storage_type_from_name(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.info.name == name) return entry.type;
  }
  return std::nullopt;
}

}  // namespace callie::tensor
