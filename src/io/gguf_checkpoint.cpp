#include "io/gguf_checkpoint.h"

#include <charconv>
#include <string_view>
#include <unordered_map>

#include "io/gguf.h"
#include "io/quote.h"
#include "io/source_files.h"

namespace callie::io {
namespace {

class GgufCheckpoint : public Checkpoint {
 public:
  static StatusOr<std::unique_ptr<Checkpoint>> open(const std::string& path) {
    auto checkpoint = std::make_unique<GgufCheckpoint>();
    checkpoint->path_ = path;
    const auto split = parse_split_name(path);
    if (!split || split->count == 1) {
      CALLIE_ASSIGN_OR_RETURN(const uint64_t declared, checkpoint->add_file(path));
      if (declared > 1) {
        return data_loss(
            "{}: split.count: one part of {}, but the name is not NAME-00001-of-{:05}.gguf", path,
            declared, declared);
      }
    } else {
      for (int part = 1; part <= split->count; ++part) {
        CALLIE_RETURN_IF_ERROR(checkpoint->add_part(*split, part));
      }
      CALLIE_RETURN_IF_ERROR(checkpoint->check_tensor_count());
    }
    checkpoint->index();
    return std::unique_ptr<Checkpoint>(std::move(checkpoint));
  }

  CheckpointKind kind() const override { return CheckpointKind::kGguf; }
  const std::string& path() const override { return path_; }
  const std::vector<TensorRecord>& tensors() const override { return tensors_; }
  const TensorRecord* find(std::string_view name) const override {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }

  bool has(std::string_view key) const override { return by_key_.count(key) > 0; }
  std::vector<MetadataEntry> metadata() const override {
    std::vector<MetadataEntry> entries;
    for (const GgufValue& value : metadata_) {
      std::string type(gguf_type_name(value.element));
      if (value.type == GgufType::kArray) type = "array of " + type;
      entries.push_back({std::string(value.key), std::move(type), value.count});
    }
    return entries;
  }
  StatusOr<int64_t> get_int(std::string_view key) const override { return get(key, gguf_int); }
  StatusOr<double> get_float(std::string_view key) const override { return get(key, gguf_float); }
  StatusOr<bool> get_bool(std::string_view key) const override { return get(key, gguf_bool); }
  StatusOr<std::string> get_string(std::string_view key) const override {
    CALLIE_ASSIGN_OR_RETURN(const std::string_view text, get(key, gguf_string));
    return std::string(text);
  }
  StatusOr<std::vector<int64_t>> get_ints(std::string_view key) const override {
    return get(key, gguf_ints);
  }
  StatusOr<std::vector<float>> get_floats(std::string_view key) const override {
    return get(key, gguf_floats);
  }
  StatusOr<std::vector<std::string>> get_strings(std::string_view key) const override {
    return get(key, gguf_strings);
  }

  StatusOr<std::string> side_file(std::string_view name) const override {
    return not_found("{}: a GGUF file has no {} beside it", path_, name);
  }
  uint64_t fingerprint() const override { return files_.fingerprint(); }
  void release(const TensorRecord& record) const override { files_.release(record.data); }

 private:
  /// Maps and parses one file; metadata counts from the first file only. Returns its split.count, 1
  /// without.
  StatusOr<uint64_t> add_file(const std::string& path) {
    CALLIE_ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, files_.add(path));
    auto parsed = parse_gguf(bytes);
    if (!parsed.ok()) return parsed.status().with_context(path);
    CALLIE_RETURN_IF_ERROR(files_.identify(path, parsed->header));
    if (part_path_.empty()) metadata_ = parsed->metadata;
    part_path_ = path;
    for (TensorRecord& record : parsed->tensors) tensors_.push_back(std::move(record));
    part_metadata_ = std::move(parsed->metadata);
    CALLIE_ASSIGN_OR_RETURN(const int64_t count, part_int("split.count", 1));
    return static_cast<uint64_t>(count < 0 ? 0 : count);
  }

  Status add_part(const SplitName& split, int part) {
    const std::string path = split.part_path(part);
    auto declared = add_file(path);
    if (!declared.ok()) return declared.status();
    if (*declared != static_cast<uint64_t>(split.count)) {
      return data_loss("{}: split.count: {} in the file, {} in its name", path, *declared,
                       split.count);
    }
    CALLIE_ASSIGN_OR_RETURN(const int64_t number, part_int("split.no", -1));
    if (number != part - 1)
      return data_loss("{}: split.no: {} in the file, expected {}", path, number, part - 1);
    return ok_status();
  }

  StatusOr<int64_t> part_int(std::string_view key, int64_t otherwise) const {
    for (const GgufValue& value : part_metadata_) {
      if (value.key == key) {
        auto number = gguf_int(value);
        if (!number.ok()) return number.status().with_context(part_path_);
        return number;
      }
    }
    return otherwise;
  }

  /// Over all parts: as many tensors as announced, none twice.
  Status check_tensor_count() const {
    for (const GgufValue& value : metadata_) {
      if (value.key != "split.tensors.count") continue;
      CALLIE_ASSIGN_OR_RETURN(const int64_t announced, gguf_int(value));
      if (announced != static_cast<int64_t>(tensors_.size())) {
        return data_loss("{}: split.tensors.count: {} announced, {} found in all parts", path_,
                         announced, tensors_.size());
      }
    }
    std::unordered_map<std::string_view, int> seen;
    for (const TensorRecord& record : tensors_) {
      if (seen[record.name]++ > 0)
        return data_loss("{}: tensor {}: in more than one part", path_, quote(record.name));
    }
    return ok_status();
  }

  void index() {
    for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
    for (size_t i = 0; i < metadata_.size(); ++i) by_key_.emplace(metadata_[i].key, i);
  }

  template <typename Read>
  auto get(std::string_view key, Read read) const
      -> decltype(read(std::declval<const GgufValue&>())) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end())
      return not_found("{}: metadata {}: not in the file", path_, quote(key));
    auto result = read(metadata_[found->second]);
    if (!result.ok()) return result.status().with_context(path_);
    return result;
  }

  std::string path_;
  std::string part_path_;  ///< the file added last
  SourceFiles files_;
  std::vector<GgufValue> metadata_, part_metadata_;
  std::vector<TensorRecord> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_, by_key_;
};

}  // namespace

std::string SplitName::part_path(int number) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number, count);
}

std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr size_t kTail = sizeof("-00001-of-00003.gguf") - 1;
  if (path.size() < kTail) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kTail);
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf")
    return std::nullopt;
  const auto number = [&](size_t at, int& value) {
    const char* begin = tail.data() + at;
    const auto [end, problem] = std::from_chars(begin, begin + 5, value);
    return problem == std::errc() && end == begin + 5;
  };
  SplitName split{path.substr(0, path.size() - kTail), 0, 0};
  if (!number(1, split.part) || !number(10, split.count)) return std::nullopt;
  if (split.part < 1 || split.part > split.count) return std::nullopt;
  return split;
}

StatusOr<std::unique_ptr<Checkpoint>> open_gguf(const std::string& path) {
  return GgufCheckpoint::open(path);
}

}  // namespace callie::io
