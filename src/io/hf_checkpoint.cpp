#include "io/hf_checkpoint.h"

#include <filesystem>
#include <set>
#include <unordered_map>

#include "core/atomic_file.h"
#include "io/hf_config.h"
#include "io/quote.h"
#include "io/safetensors.h"
#include "io/source_files.h"

namespace callie::io {
namespace {

namespace fs = std::filesystem;

class HfCheckpoint : public Checkpoint {
 public:
  static StatusOr<std::unique_ptr<Checkpoint>> open(const std::string& folder) {
    auto checkpoint = std::make_unique<HfCheckpoint>();
    checkpoint->path_ = folder;
    const std::string config_path = checkpoint->file("config.json");
    CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(config_path));
    auto config = HfConfig::parse(text);
    if (!config.ok()) return config.status().with_context(config_path);
    checkpoint->config_ = std::move(config).value();
    CALLIE_RETURN_IF_ERROR(checkpoint->files_.identify(
        config_path, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
    CALLIE_RETURN_IF_ERROR(checkpoint->open_weights());
    return std::unique_ptr<Checkpoint>(std::move(checkpoint));
  }

  CheckpointKind kind() const override { return CheckpointKind::kHuggingFace; }
  const std::string& path() const override { return path_; }
  const std::vector<TensorRecord>& tensors() const override { return tensors_; }
  const TensorRecord* find(std::string_view name) const override {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }
  bool has(std::string_view key) const override { return config_.has(key); }
  std::vector<MetadataEntry> metadata() const override { return config_.metadata(); }
  StatusOr<int64_t> get_int(std::string_view key) const override {
    return named(config_.get_int(key));
  }
  StatusOr<double> get_float(std::string_view key) const override {
    return named(config_.get_float(key));
  }
  StatusOr<bool> get_bool(std::string_view key) const override {
    return named(config_.get_bool(key));
  }
  StatusOr<std::string> get_string(std::string_view key) const override {
    return named(config_.get_string(key));
  }
  StatusOr<std::vector<int64_t>> get_ints(std::string_view key) const override {
    return named(config_.get_ints(key));
  }
  StatusOr<std::vector<float>> get_floats(std::string_view key) const override {
    return named(config_.get_floats(key));
  }
  StatusOr<std::vector<std::string>> get_strings(std::string_view key) const override {
    return named(config_.get_strings(key));
  }
  StatusOr<std::string> side_file(std::string_view name) const override {
    for (const fs::path& part : fs::path(name)) {
      if (part == ".." || part.is_absolute())
        return not_found("{}: {} lies outside", path_, quote(name));
    }
    return read_text_file(file(name));
  }
  uint64_t fingerprint() const override { return files_.fingerprint(); }
  void release(const TensorRecord& record) const override { files_.release(record.data); }

 private:
  std::string file(std::string_view name) const { return (fs::path(path_) / name).string(); }

  template <typename T>
  StatusOr<T> named(StatusOr<T> result) const {
    if (!result.ok()) return result.status().with_context(file("config.json"));
    return result;
  }

  Status open_weights() {
    const std::string index_path = file("model.safetensors.index.json");
    std::error_code ignored;
    if (!fs::exists(index_path, ignored)) return add_shard("model.safetensors");
    CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(index_path));
    auto places = parse_shard_index(text);
    if (!places.ok()) return places.status().with_context(index_path);
    std::set<std::string> shards;
    for (const auto& [tensor, shard] : *places) shards.insert(shard);
    for (const std::string& shard : shards) CALLIE_RETURN_IF_ERROR(add_shard(shard));
    for (const auto& [tensor, shard] : *places) {
      const auto found = by_name_.find(tensor);
      if (found == by_name_.end() || *shard_of_[found->second] != shard) {
        return data_loss("{}: tensor {}: not in the file, but {} says so", file(shard),
                         quote(tensor), index_path);
      }
    }
    return ok_status();
  }

  Status add_shard(const std::string& name) {
    const std::string path = file(name);
    CALLIE_ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, files_.add(path));
    auto parsed = parse_safetensors(bytes);
    if (!parsed.ok()) return parsed.status().with_context(path);
    CALLIE_RETURN_IF_ERROR(files_.identify(path, parsed->header));
    const auto shard = std::make_shared<const std::string>(name);
    for (TensorRecord& record : parsed->tensors) {
      if (!by_name_.emplace(record.name, tensors_.size()).second) {
        return data_loss("{}: tensor {}: in more than one file", path, quote(record.name));
      }
      tensors_.push_back(std::move(record));
      shard_of_.push_back(shard);
    }
    return ok_status();
  }

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  std::string path_;
  HfConfig config_;
  SourceFiles files_;
  std::vector<TensorRecord> tensors_;
  std::vector<std::shared_ptr<const std::string>> shard_of_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> by_name_;
};

}  // namespace

StatusOr<std::unique_ptr<Checkpoint>> open_hugging_face(const std::string& folder) {
  return HfCheckpoint::open(folder);
}

}  // namespace callie::io
