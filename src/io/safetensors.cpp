// The safetensors container: https://huggingface.co/docs/safetensors (an 8-byte length, a JSON
// header, the data).

#include "io/safetensors.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_set>

#include "core/atomic_file.h"
#include "core/json.h"
#include "io/byte_reader.h"
#include "io/quote.h"

namespace callie::io {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own implementation
constexpr size_t kMaxRank = 8;

struct Dtype {
  std::string_view name;
  tensor::StorageType type;
};
constexpr Dtype kDtypes[] = {
    {"F64", tensor::StorageType::kF64}, {"F32", tensor::StorageType::kF32},
    {"F16", tensor::StorageType::kF16}, {"BF16", tensor::StorageType::kBF16},
    {"I64", tensor::StorageType::kI64}, {"I32", tensor::StorageType::kI32},
    {"I16", tensor::StorageType::kI16}, {"I8", tensor::StorageType::kI8},
};

/// One entry of the header as it is being read.
struct Entry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape, offsets;
};

/// Takes the header event by event, so that nothing is stored that is not part of the format.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string problem;

  bool start_object(size_t) override {
    if (in_array_ || depth_ == 2 || (depth_ == 1 && key_.empty())) return fail("an object");
    ++depth_;
    in_metadata_ = depth_ == 2 && key_ == "__metadata__";
    if (depth_ == 2 && !in_metadata_) entries.push_back({key_, {}, {}, {}});
    return true;
  }
  bool end_object() override {
    --depth_;
    in_metadata_ = false;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      if (name.empty()) return refuse("header: a tensor without a name");
      if (!seen_.insert(name).second)
        return refuse(fmt::format("tensor {}: appears twice", quote(name)));
      key_ = name;
    }
    field_ = depth_ == 2 ? name : "";
    return true;
  }
  bool start_array(size_t) override {
    auto* target = list();
    if (!target || in_array_) return fail("an array");
    if (*target) return refuse(fmt::format("tensor {}: {} appears twice", quote(key_), field_));
    target->emplace();
    in_array_ = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return fail("a number");
    std::vector<uint64_t>& numbers = **list();
    if (numbers.size() >= kMaxRank)
      return refuse(fmt::format("tensor {}: {}: too many numbers", quote(key_), field_));
    numbers.push_back(value);
    return true;
  }
  bool string(string_t& text) override {
    if (in_metadata_) {
      metadata.emplace_back(field_, text);
      return true;
    }
    if (depth_ != 2 || in_array_ || field_ != "dtype") return fail("a string");
    if (entries.back().dtype)
      return refuse(fmt::format("tensor {}: dtype appears twice", quote(key_)));
    entries.back().dtype = text;
    return true;
  }
  bool null() override { return fail("null"); }
  bool boolean(bool) override { return fail("a bool"); }
  bool number_integer(number_integer_t) override { return fail("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return fail("a fraction"); }
  bool binary(binary_t&) override { return fail("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return refuse(fmt::format("header: no valid JSON at byte {}", position));
  }

 private:
  std::optional<std::vector<uint64_t>>* list() {
    if (depth_ != 2 || in_metadata_) return nullptr;
    if (field_ == "shape") return &entries.back().shape;
    if (field_ == "data_offsets") return &entries.back().offsets;
    return nullptr;
  }
  bool refuse(std::string message) {
    problem = std::move(message);
    return false;
  }
  bool fail(std::string_view found) {
    if (depth_ == 0) return refuse(fmt::format("header: {} where an object is expected", found));
    if (depth_ == 1)
      return refuse(fmt::format("tensor {}: {} where an object is expected", quote(key_), found));
    return refuse(
        fmt::format("tensor {}: {}: {} is not expected here", quote(key_), quote(field_), found));
  }

  int depth_ = 0;
  bool in_array_ = false, in_metadata_ = false;
  std::string key_, field_;
  std::unordered_set<std::string> seen_;
};

/// Checks one entry against the data and makes its record. `begin` and `end` are offsets into the
/// data.
StatusOr<TensorRecord> make_record(const Entry& entry, std::span<const uint8_t> data) {
  if (!entry.dtype) return data_loss("tensor {}: dtype: missing", quote(entry.name));
  if (!entry.shape) return data_loss("tensor {}: shape: missing", quote(entry.name));
  if (!entry.offsets || entry.offsets->size() != 2) {
    return data_loss("tensor {}: data_offsets: expected two numbers", quote(entry.name));
  }
  const auto dtype =
      std::find_if(std::begin(kDtypes), std::end(kDtypes),
                   [&](const Dtype& candidate) { return candidate.name == *entry.dtype; });
  if (dtype == std::end(kDtypes)) {
    return error(StatusCode::kUnimplemented, "tensor {}: dtype {} is not supported",
                 quote(entry.name), quote(*entry.dtype));
  }
  TensorRecord record{entry.name, dtype->type, {}, {}};
  uint64_t size = static_cast<uint64_t>(tensor::storage_type_info(dtype->type)->block_bytes);
  for (const uint64_t extent : *entry.shape) {
    if (extent == 0) return data_loss("tensor {}: shape: an extent of zero", quote(entry.name));
    if (extent > uint64_t{std::numeric_limits<int64_t>::max()} / size) {
      return data_loss("tensor {}: shape: too large ({})", quote(entry.name), extent);
    }
    size *= extent;
    record.shape.push_back(static_cast<int64_t>(extent));
  }
  const uint64_t begin = (*entry.offsets)[0], end = (*entry.offsets)[1];
  if (begin > end || end > data.size()) {
    return data_loss(
        "tensor {}: data_offsets: [{}, {}] lie outside the {} bytes of data (truncated?)",
        quote(entry.name), begin, end, data.size());
  }
  if (end - begin != size) {
    return data_loss("tensor {}: data_offsets: {} bytes, but the shape needs {}", quote(entry.name),
                     end - begin, size);
  }
  record.data = data.subspan(begin, size);
  return record;
}

}  // namespace

StatusOr<SafetensorsHeader> parse_safetensors(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  const auto length = reader.read<uint64_t>();
  if (!length) return data_loss("header length: the file ends after {} bytes", bytes.size());
  if (*length > kMaxHeaderBytes)
    return data_loss("header length: {} is more than {}", *length, kMaxHeaderBytes);
  const auto text = reader.take(*length);
  if (!text)
    return data_loss("header: {} bytes announced, {} in the file (truncated?)", *length,
                     reader.remaining());
  const auto data = bytes.subspan(reader.position());

  HeaderHandler handler;
  if (text->empty() || text->front() != '{') return data_loss("header: does not begin with '{{'");
  if (!nlohmann::json::sax_parse(text->begin(), text->end(), &handler))
    return data_loss("{}", handler.problem);

  SafetensorsHeader parsed;
  parsed.header = bytes.first(reader.position());
  parsed.metadata = std::move(handler.metadata);
  for (const Entry& entry : handler.entries) {
    CALLIE_ASSIGN_OR_RETURN(TensorRecord record, make_record(entry, data));
    parsed.tensors.push_back(std::move(record));
  }
  std::stable_sort(
      parsed.tensors.begin(), parsed.tensors.end(),
      [](const TensorRecord& a, const TensorRecord& b) { return a.data.data() < b.data.data(); });
  const uint8_t* next = data.data();
  for (const TensorRecord& record : parsed.tensors) {
    if (record.data.data() != next) {
      return data_loss("tensor {}: data_offsets: {} the tensor before it", quote(record.name),
                       record.data.data() < next ? "overlaps" : "leaves a hole after");
    }
    next += record.data.size();
  }
  if (next != data.data() + data.size()) {
    return data_loss("data: {} bytes behind the last tensor", data.data() + data.size() - next);
  }
  return parsed;
}

StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::open(const std::string& path) {
  auto file = std::make_unique<SafetensorsFile>();
  CALLIE_ASSIGN_OR_RETURN(file->file_, MappedFile::open(path));
  auto parsed = parse_safetensors(file->file_.bytes());
  if (!parsed.ok()) return parsed.status().with_context(path);
  file->header_ = std::move(parsed).value();
  for (size_t i = 0; i < file->header_.tensors.size(); ++i)
    file->by_name_.emplace(file->header_.tensors[i].name, i);
  return file;
}

const TensorRecord* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &header_.tensors[found->second];
}

Status write_safetensors(const std::string& path, std::span<const TensorRecord> tensors,
                         std::span<const std::pair<std::string, std::string>> metadata) {
  Json header = Json::object();
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  uint64_t offset = 0;
  for (const TensorRecord& record : tensors) {
    const tensor::StorageTypeInfo* info = tensor::storage_type_info(record.type);
    uint64_t size = info ? static_cast<uint64_t>(info->block_bytes) : 0;
    for (const int64_t extent : record.shape) size *= static_cast<uint64_t>(extent);
    if (!info || info->block_elements != 1 || size != record.data.size()) {
      return invalid_argument("{}: tensor {}: type and shape do not fit its {} bytes", path,
                              quote(record.name), record.data.size());
    }
    header[record.name] = {
        {"dtype", info->name}, {"shape", record.shape}, {"data_offsets", {offset, offset + size}}};
    offset += size;
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // keeps the data aligned to its elements
  const uint64_t length = text.size();
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  CALLIE_RETURN_IF_ERROR(
      file.write(std::span(reinterpret_cast<const uint8_t*>(&length), sizeof(length))));
  CALLIE_RETURN_IF_ERROR(file.write(text));
  for (const TensorRecord& record : tensors) CALLIE_RETURN_IF_ERROR(file.write(record.data));
  return file.commit();
}

}  // namespace callie::io
