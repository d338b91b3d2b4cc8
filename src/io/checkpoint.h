#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "tensor/storage_type.h"

namespace callie::io {

/// A tensor as it lies in a file. `data` points into the mapping and stays valid as long as the
/// checkpoint.
struct TensorRecord {
  std::string name;
  tensor::StorageType type;
  std::vector<int64_t> shape;  ///< outermost first: a matrix is [rows (outputs), cols (inputs)]
  std::span<const uint8_t> data;

  int64_t rows() const { return shape.size() > 1 ? shape[0] : 1; }
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
};

enum class CheckpointKind { kGguf, kHuggingFace };

/// A metadata key with what its value is: "u32", "string", "array of f32", … for GGUF; "integer",
/// "number", "bool", "string", "array" for config.json.
struct MetadataEntry {
  std::string key;
  std::string type;
  uint64_t count;  ///< elements of an array, else 1
};

/// A model on disk: a GGUF file (or its splits) or a Hugging Face folder. Metadata is addressed by
/// key: GGUF keys as they stand in the file; for a Hugging Face folder the keys of config.json,
/// nested ones joined by '.'
/// ("rope_scaling.factor"). All sizes and offsets have been checked against the file when open()
/// returns.
class Checkpoint {
 public:
  /// Opens FILE.gguf (of a split model: any part) or a folder with config.json and *.safetensors.
  /// Errors: kNotFound, kDataLoss (message names file and field).
  static StatusOr<std::unique_ptr<Checkpoint>> open(const std::string& path);
  virtual ~Checkpoint() = default;

  virtual CheckpointKind kind() const = 0;
  virtual const std::string& path() const = 0;
  virtual const std::vector<TensorRecord>& tensors() const = 0;
  /// nullptr when there is none of that name.
  virtual const TensorRecord* find(std::string_view name) const = 0;

  virtual bool has(std::string_view key) const = 0;
  /// All keys in the order of the file.
  virtual std::vector<MetadataEntry> metadata() const = 0;
  /// Typed metadata. Errors: kNotFound (no such key), kDataLoss (another type or out of range);
  /// both name the key.
  virtual StatusOr<int64_t> get_int(std::string_view key) const = 0;
  virtual StatusOr<double> get_float(std::string_view key) const = 0;  ///< integers convert
  virtual StatusOr<bool> get_bool(std::string_view key) const = 0;
  virtual StatusOr<std::string> get_string(std::string_view key) const = 0;
  virtual StatusOr<std::vector<int64_t>> get_ints(std::string_view key) const = 0;
  virtual StatusOr<std::vector<float>> get_floats(std::string_view key) const = 0;
  virtual StatusOr<std::vector<std::string>> get_strings(std::string_view key) const = 0;

  /// Text of a file beside the weights (tokenizer.json, tokenizer_config.json, …); kNotFound for
  /// GGUF.
  virtual StatusOr<std::string> side_file(std::string_view name) const = 0;

  /// Identifies the source for the packed cache: size, modification time and hash of the header of
  /// every file.
  virtual uint64_t fingerprint() const = 0;

  /// Tells the system that this tensor's pages will not be read again soon.
  virtual void release(const TensorRecord& record) const = 0;
};

}  // namespace callie::io
