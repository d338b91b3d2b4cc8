#include "io/gguf_writer.h"

#include "core/atomic_file.h"
#include "io/quote.h"

namespace callie::io {
namespace {

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out += text;
}

template <typename T>
void put_array(std::string& out, GgufType element, std::span<const T> values) {
  put(out, element);
  put<uint64_t>(out, values.size());
  out.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

void GgufWriter::begin(std::string_view key, GgufType type) {
  put_string(values_, key);
  put(values_, type);
  ++n_values_;
}

void GgufWriter::set_u32(std::string_view key, uint32_t value) {
  begin(key, GgufType::kU32), put(values_, value);
}
void GgufWriter::set_i32(std::string_view key, int32_t value) {
  begin(key, GgufType::kI32), put(values_, value);
}
void GgufWriter::set_u64(std::string_view key, uint64_t value) {
  begin(key, GgufType::kU64), put(values_, value);
}
void GgufWriter::set_u16(std::string_view key, uint16_t value) {
  begin(key, GgufType::kU16), put(values_, value);
}
void GgufWriter::set_f32(std::string_view key, float value) {
  begin(key, GgufType::kF32), put(values_, value);
}
void GgufWriter::set_bool(std::string_view key, bool value) {
  begin(key, GgufType::kBool), put<uint8_t>(values_, value ? 1 : 0);
}
void GgufWriter::set_string(std::string_view key, std::string_view value) {
  begin(key, GgufType::kString), put_string(values_, value);
}
void GgufWriter::set_i32s(std::string_view key, std::span<const int32_t> values) {
  begin(key, GgufType::kArray), put_array(values_, GgufType::kI32, values);
}
void GgufWriter::set_f32s(std::string_view key, std::span<const float> values) {
  begin(key, GgufType::kArray), put_array(values_, GgufType::kF32, values);
}
void GgufWriter::set_strings(std::string_view key, std::span<const std::string> values) {
  begin(key, GgufType::kArray);
  put(values_, GgufType::kString);
  put<uint64_t>(values_, values.size());
  for (const std::string& text : values) put_string(values_, text);
}
void GgufWriter::set(const GgufValue& value) {
  begin(value.key, value.type);
  if (value.type == GgufType::kArray) {
    put(values_, value.element);
    put(values_, value.count);
  }
  values_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

Status GgufWriter::declare(std::string_view name, tensor::StorageType type,
                           std::span<const int64_t> shape) {
  const tensor::StorageTypeInfo* info = tensor::storage_type_info(type);
  if (!info)
    return invalid_argument("tensor {}: storage type {} does not exist", quote(name),
                            static_cast<int>(type));
  if (shape.size() > 4)
    return invalid_argument("tensor {}: {} dimensions, at most 4", quote(name), shape.size());
  uint64_t elements = 1;
  for (const int64_t extent : shape) {
    if (extent < 1) return invalid_argument("tensor {}: extent {}", quote(name), extent);
    elements *= static_cast<uint64_t>(extent);
  }
  const int64_t row = shape.empty() ? 1 : shape.back();
  if (row % info->block_elements != 0) {
    return invalid_argument("tensor {}: rows of {} elements are no whole number of {} blocks",
                            quote(name), row, info->name);
  }
  const uint64_t size = elements / static_cast<uint64_t>(info->block_elements) *
                        static_cast<uint64_t>(info->block_bytes);
  tensors_.push_back({std::string(name), type, {shape.begin(), shape.end()}, data_size_, size});
  data_size_ += size + padding(size);
  return ok_status();
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  put<uint32_t>(out, 3);
  put<uint64_t>(out, tensors_.size());
  const bool states_alignment = alignment_ != 32;
  put<uint64_t>(out, n_values_ + (states_alignment ? 1 : 0));
  if (states_alignment) {
    put_string(out, "general.alignment");
    put(out, GgufType::kU32);
    put(out, static_cast<uint32_t>(alignment_));
  }
  out += values_;
  for (const Declared& tensor : tensors_) {
    put_string(out, tensor.name);
    put(out, static_cast<uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent)
      put(out, *extent);
    put(out, tensor.type);
    put(out, tensor.offset);
  }
  out.resize(out.size() + padding(out.size()));
  return out;
}

Status GgufWriter::write(
    const std::string& path,
    const std::function<StatusOr<std::span<const uint8_t>>(size_t index)>& data) const {
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(header())));
  const std::vector<uint8_t> zeros(alignment_);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    CALLIE_ASSIGN_OR_RETURN(const std::span<const uint8_t> bytes, data(i));
    if (bytes.size() != tensors_[i].size) {
      return invalid_argument("{}: tensor {}: {} bytes given, {} declared", path,
                              quote(tensors_[i].name), bytes.size(), tensors_[i].size);
    }
    CALLIE_RETURN_IF_ERROR(file.write(bytes));
    CALLIE_RETURN_IF_ERROR(file.write(std::span(zeros).first(padding(bytes.size()))));
  }
  return file.commit();
}

StatusOr<std::vector<uint8_t>> GgufWriter::bytes(
    std::span<const std::span<const uint8_t>> data) const {
  const std::string head = header();
  std::vector<uint8_t> out(head.begin(), head.end());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (i >= data.size() || data[i].size() != tensors_[i].size) {
      return invalid_argument("tensor {}: wrong number of bytes given", quote(tensors_[i].name));
    }
    out.insert(out.end(), data[i].begin(), data[i].end());
    out.resize(out.size() + padding(data[i].size()));
  }
  return out;
}

}  // namespace callie::io
