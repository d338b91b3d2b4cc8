// The GGUF container: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

#include "io/gguf.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "io/byte_reader.h"
#include "io/quote.h"

namespace callie::io {
namespace {

constexpr uint32_t kMagic = 0x46554747;              // "GGUF"
constexpr uint64_t kMinValueBytes = 8 + 4 + 1;       // key length, type, one byte
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;  // name length, rank, type, offset
constexpr uint32_t kMaxRank = 4;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 24;

/// Bytes of a value of fixed size; 0 for strings and arrays; nullopt for no type at all.
std::optional<uint64_t> fixed_size(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return std::nullopt;
}

/// Names of ggml types that exist and are not decoded here.
std::string_view unsupported_type_name(uint32_t type) {
  switch (type) {
    case 9:
      return "Q8_1";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 29:
      return "IQ1_M";
    case 34:
      return "TQ1_0";
    case 35:
      return "TQ2_0";
    case 39:
      return "MXFP4";
    default:
      return "unknown";
  }
}

class Parser {
 public:
  explicit Parser(std::span<const uint8_t> bytes) : bytes_(bytes), reader_(bytes) {}

  StatusOr<GgufHeader> parse() {
    CALLIE_RETURN_IF_ERROR(read_counts());
    CALLIE_RETURN_IF_ERROR(read_metadata());
    CALLIE_RETURN_IF_ERROR(read_tensors());
    CALLIE_RETURN_IF_ERROR(place_tensors());
    return std::move(header_);
  }

 private:
  Status read_counts() {
    const auto magic = reader_.read<uint32_t>();
    if (!magic || *magic != kMagic) return data_loss("magic: not a GGUF file");
    const auto version = reader_.read<uint32_t>();
    const auto n_tensors = reader_.read<uint64_t>();
    const auto n_values = reader_.read<uint64_t>();
    if (!version || !n_tensors || !n_values)
      return data_loss("header: the file ends after {} bytes", bytes_.size());
    if ((*version & 0xFFFF) == 0 && *version != 0) {
      return error(StatusCode::kUnimplemented, "version: big-endian GGUF files are not supported");
    }
    if (*version != 2 && *version != 3) {
      return error(StatusCode::kUnimplemented, "version: {} is not supported (2 and 3 are)",
                   *version);
    }
    if (*n_values > reader_.remaining() / kMinValueBytes) {
      return data_loss("metadata_kv_count: {} values do not fit into {} bytes", *n_values,
                       bytes_.size());
    }
    if (*n_tensors > reader_.remaining() / kMinTensorBytes) {
      return data_loss("tensor_count: {} tensors do not fit into {} bytes", *n_tensors,
                       bytes_.size());
    }
    header_.version = *version;
    n_tensors_ = *n_tensors;
    n_values_ = *n_values;
    return ok_status();
  }

  Status read_metadata() {
    std::unordered_set<std::string_view> seen;
    for (uint64_t i = 0; i < n_values_; ++i) {
      const auto key = reader_.read_string();
      if (!key)
        return data_loss("metadata key {} of {}: runs past the end of the file", i + 1, n_values_);
      if (key->empty()) return data_loss("metadata key {} of {}: empty", i + 1, n_values_);
      if (!seen.insert(*key).second)
        return data_loss("metadata key {}: appears twice", quote(*key));
      CALLIE_ASSIGN_OR_RETURN(const GgufValue value, read_value(*key));
      header_.metadata.push_back(value);
    }
    return read_alignment();
  }

  StatusOr<GgufValue> read_value(std::string_view key) {
    const auto past_end = [&] {
      return data_loss("metadata {}: runs past the end of the file", quote(key));
    };
    const auto type = reader_.read<uint32_t>();
    if (!type) return past_end();
    GgufValue value{key, static_cast<GgufType>(*type), static_cast<GgufType>(*type), 1, {}};
    auto size = fixed_size(value.type);
    if (!size) return data_loss("metadata {}: value type {} does not exist", quote(key), *type);
    if (value.type == GgufType::kArray) {
      const auto element = reader_.read<uint32_t>();
      const auto count = reader_.read<uint64_t>();
      if (!element || !count) return past_end();
      value.element = static_cast<GgufType>(*element);
      value.count = *count;
      size = fixed_size(value.element);
      if (!size)
        return data_loss("metadata {}: element type {} does not exist", quote(key), *element);
      if (value.element == GgufType::kArray)
        return data_loss("metadata {}: an array of arrays", quote(key));
    }
    const uint64_t start = reader_.position();
    if (*size > 0) {
      if (value.count > reader_.remaining() / *size) return past_end();
      reader_.take(value.count * *size);
    } else {
      if (value.count > reader_.remaining() / sizeof(uint64_t)) return past_end();
      for (uint64_t i = 0; i < value.count; ++i) {
        if (!reader_.read_string()) return past_end();
      }
    }
    value.bytes = bytes_.subspan(start, reader_.position() - start);
    return value;
  }

  Status read_alignment() {
    for (const GgufValue& value : header_.metadata) {
      if (value.key != "general.alignment") continue;
      CALLIE_ASSIGN_OR_RETURN(const int64_t alignment, gguf_int(value));
      const auto bits = static_cast<uint64_t>(alignment);
      if (alignment < 1 || bits > kMaxAlignment || (bits & (bits - 1)) != 0) {
        return data_loss("general.alignment: {} is not a power of two up to {}", alignment,
                         kMaxAlignment);
      }
      header_.alignment = bits;
    }
    return ok_status();
  }

  Status read_tensors() {
    std::unordered_set<std::string_view> seen;
    for (uint64_t i = 0; i < n_tensors_; ++i) {
      const auto name = reader_.read_string();
      if (!name)
        return data_loss("tensor {} of {}: name runs past the end of the file", i + 1, n_tensors_);
      if (name->empty()) return data_loss("tensor {} of {}: empty name", i + 1, n_tensors_);
      if (!seen.insert(*name).second) return data_loss("tensor {}: appears twice", quote(*name));
      CALLIE_RETURN_IF_ERROR(read_tensor(*name));
    }
    return ok_status();
  }

  Status read_tensor(std::string_view name) {
    const auto past_end = [&] {
      return data_loss("tensor {}: runs past the end of the file", quote(name));
    };
    const auto rank = reader_.read<uint32_t>();
    if (!rank) return past_end();
    if (*rank > kMaxRank)
      return data_loss("tensor {}: {} dimensions, at most {} are allowed", quote(name), *rank,
                       kMaxRank);
    TensorRecord record;
    record.name = name;
    uint64_t elements = 1;
    for (uint32_t d = 0; d < *rank; ++d) {
      const auto extent = reader_.read<uint64_t>();
      if (!extent) return past_end();
      if (*extent == 0) return data_loss("tensor {}: dimension {} is zero", quote(name), d);
      if (*extent > uint64_t{std::numeric_limits<int64_t>::max()} / elements) {
        return data_loss("tensor {}: shape is too large (dimension {} is {})", quote(name), d,
                         *extent);
      }
      elements *= *extent;
      record.shape.push_back(static_cast<int64_t>(*extent));
    }
    const auto type = reader_.read<uint32_t>();
    const auto offset = reader_.read<uint64_t>();
    if (!type || !offset) return past_end();
    record.type = static_cast<tensor::StorageType>(*type);
    const tensor::StorageTypeInfo* info = tensor::storage_type_info(record.type);
    if (!info) {
      return error(StatusCode::kUnimplemented, "tensor {}: storage type {} ({}) is not supported",
                   quote(name), *type, unsupported_type_name(*type));
    }
    const int64_t row =
        record.shape.empty() ? 1 : record.shape.front();  // the file lists the innermost first
    if (row % info->block_elements != 0) {
      return data_loss("tensor {}: rows of {} elements are no whole number of {} blocks of {}",
                       quote(name), row, info->name, info->block_elements);
    }
    const uint64_t blocks = elements / static_cast<uint64_t>(info->block_elements);
    if (blocks > bytes_.size() / static_cast<uint64_t>(info->block_bytes)) {
      return data_loss(
          "tensor {}: {} elements of {} do not fit into the file's {} bytes (truncated?)",
          quote(name), elements, info->name, bytes_.size());
    }
    if (*offset % header_.alignment != 0) {
      return data_loss("tensor {}: offset {} is not a multiple of the alignment {}", quote(name),
                       *offset, header_.alignment);
    }
    std::reverse(record.shape.begin(), record.shape.end());
    header_.tensors.push_back(std::move(record));
    places_.push_back(
        {*offset, blocks * static_cast<uint64_t>(info->block_bytes), header_.tensors.size() - 1});
    return ok_status();
  }

  Status place_tensors() {
    const uint64_t end = reader_.position();
    const uint64_t data = (end + header_.alignment - 1) / header_.alignment * header_.alignment;
    header_.header = bytes_.first(end);
    for (const Place& place : places_) {
      TensorRecord& record = header_.tensors[place.index];
      if (data > bytes_.size() || place.offset > bytes_.size() - data ||
          place.size > bytes_.size() - data - place.offset) {
        return data_loss(
            "tensor {}: {} bytes at offset {} run past the end of the file's {} bytes (truncated?)",
            quote(record.name), place.size, place.offset, bytes_.size());
      }
      record.data = bytes_.subspan(data + place.offset, place.size);
    }
    std::sort(places_.begin(), places_.end(),
              [](const Place& a, const Place& b) { return a.offset < b.offset; });
    for (size_t i = 1; i < places_.size(); ++i) {
      if (places_[i - 1].offset + places_[i - 1].size > places_[i].offset) {
        return data_loss("tensor {}: its bytes overlap those of {}",
                         quote(header_.tensors[places_[i].index].name),
                         quote(header_.tensors[places_[i - 1].index].name));
      }
    }
    return ok_status();
  }

  struct Place {
    uint64_t offset, size;
    size_t index;
  };

  std::span<const uint8_t> bytes_;
  ByteReader reader_;
  GgufHeader header_;
  std::vector<Place> places_;
  uint64_t n_tensors_ = 0, n_values_ = 0;
};

}  // namespace

StatusOr<GgufHeader> parse_gguf(std::span<const uint8_t> bytes) { return Parser(bytes).parse(); }

}  // namespace callie::io
