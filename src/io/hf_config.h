#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "io/checkpoint.h"

namespace callie::io {

/// config.json as a table: nested keys joined by '.', null values left out.
class HfConfig {
 public:
  /// Errors: kDataLoss ("field: problem").
  static StatusOr<HfConfig> parse(std::string_view text);
  HfConfig();
  HfConfig(HfConfig&&) noexcept;
  HfConfig& operator=(HfConfig&&) noexcept;
  ~HfConfig();

  bool has(std::string_view key) const;
  std::vector<MetadataEntry> metadata() const;
  StatusOr<int64_t> get_int(std::string_view key) const;
  StatusOr<double> get_float(std::string_view key) const;
  StatusOr<bool> get_bool(std::string_view key) const;
  StatusOr<std::string> get_string(std::string_view key) const;
  StatusOr<std::vector<int64_t>> get_ints(std::string_view key) const;
  StatusOr<std::vector<float>> get_floats(std::string_view key) const;
  StatusOr<std::vector<std::string>> get_strings(std::string_view key) const;

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

/// The shard that holds each tensor, from model.safetensors.index.json: pairs of tensor and file
/// name, sorted by tensor. Errors: kDataLoss ("field: problem"); a file name that leaves the folder
/// is one.
StatusOr<std::vector<std::pair<std::string, std::string>>> parse_shard_index(std::string_view text);

}  // namespace callie::io
