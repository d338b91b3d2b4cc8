#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/mapped_file.h"
#include "core/status.h"
#include "io/checkpoint.h"

namespace callie::io {

/// The parsed header of a safetensors file; records point into the bytes that were parsed.
struct SafetensorsHeader {
  std::vector<TensorRecord> tensors;                          ///< in the order of their data
  std::vector<std::pair<std::string, std::string>> metadata;  ///< the entries of __metadata__
  std::span<const uint8_t> header;                            ///< everything before the tensor data
};

/// Parses the bytes of a safetensors file. The data of the tensors must fill the file without
/// holes. Errors: kDataLoss ("field: problem"), kUnimplemented (a dtype that has no storage type,
/// such as F8_E4M3).
StatusOr<SafetensorsHeader> parse_safetensors(std::span<const uint8_t> bytes);

/// One safetensors file, mapped.
class SafetensorsFile {
 public:
  /// Errors: kNotFound, kDataLoss, kUnimplemented; the message names the file.
  static StatusOr<std::unique_ptr<SafetensorsFile>> open(const std::string& path);

  const std::vector<TensorRecord>& tensors() const { return header_.tensors; }
  /// nullptr when there is none of that name.
  const TensorRecord* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& metadata() const {
    return header_.metadata;
  }

 private:
  MappedFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

/// Writes a safetensors file atomically; `tensors` carry their bytes.
/// Errors: kInvalidArgument (a block-quantized type, or a size that does not follow from the
/// shape), kResourceExhausted (disk full; nothing is left).
Status write_safetensors(const std::string& path, std::span<const TensorRecord> tensors,
                         std::span<const std::pair<std::string, std::string>> metadata = {});

}  // namespace callie::io
