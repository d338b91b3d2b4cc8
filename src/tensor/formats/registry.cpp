#include <cstring>

#include "kernels/half.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

constexpr std::array kCodecs = {&kQ4_0, &kQ4_1, &kQ5_0, &kQ5_1, &kQ8_0,   &kQ2_K,
                                &kQ3_K, &kQ4_K, &kQ5_K, &kQ6_K, &kIQ4_NL, &kIQ4_XS};

bool is_float(StorageType type) {
  return type == StorageType::kF32 || type == StorageType::kF16 || type == StorageType::kBF16;
}

/// Checks that n elements are whole blocks that fit in `bytes`.
Status check_size(StorageType type, int64_t n, size_t bytes) {
  const StorageTypeInfo* info = storage_type_info(type);
  if (info == nullptr) {
    return error(StatusCode::kUnimplemented, "unknown storage type {}",
                 static_cast<uint32_t>(type));
  }
  if (n < 0 || n % info->block_elements != 0) {
    return invalid_argument("{}: {} elements are not whole blocks of {}", info->name, n,
                            info->block_elements);
  }
  if (static_cast<uint64_t>(n / info->block_elements) * info->block_bytes > bytes) {
    return invalid_argument("{}: {} elements need {} bytes, there are {}", info->name, n,
                            n / info->block_elements * info->block_bytes, bytes);
  }
  return ok_status();
}

void decode_block(const FormatCodec& codec, const uint8_t* block, int64_t elements, float* out) {
  const kernels::PackedFamily& f = codec.family;
  CanonicalBlock b;
  codec.read_block(block, b);
  const float scale = kernels::f16_to_f32(b.scale);
  const float min = f.has_min() ? kernels::f16_to_f32(b.min) : 0.0f;
  for (int64_t i = 0; i < elements; ++i) {
    const int64_t g = i / f.group;
    const int code = f.coding == kernels::Coding::kTable ? f.table[b.codes[i]] : b.codes[i];
    const float group_scale = f.is_super() ? scale * b.group_scales[g] : scale;
    const float scaled = group_scale * static_cast<float>(code - f.zero);
    const float group_min = f.is_super() && f.has_min() ? min * b.group_mins[g] : min;
    out[i] = f.has_min() ? scaled + group_min : scaled;
  }
}

}  // namespace

const FormatCodec* find_codec(StorageType type) {
  for (const FormatCodec* codec : kCodecs) {
    if (codec->type == type) return codec;
  }
  return nullptr;
}

std::span<const FormatCodec* const> all_codecs() { return kCodecs; }

StatusOr<kernels::PackedFamily> packed_family(StorageType type) {
  using kernels::Coding;
  using kernels::ScaleKind;
  if (const FormatCodec* codec = find_codec(type)) return codec->family;
  if (type == StorageType::kF32)
    return kernels::PackedFamily{Coding::kF32, 32, 32, ScaleKind::kNone, 0, {}};
  if (type == StorageType::kF16)
    return kernels::PackedFamily{Coding::kF16, 16, 32, ScaleKind::kNone, 0, {}};
  if (type == StorageType::kBF16)
    return kernels::PackedFamily{Coding::kBf16, 16, 32, ScaleKind::kNone, 0, {}};
  const StorageTypeInfo* info = storage_type_info(type);
  return error(
      StatusCode::kUnimplemented, "storage type {} holds no weights",
      info != nullptr ? std::string(info->name) : std::to_string(static_cast<uint32_t>(type)));
}

Status decode(StorageType type, std::span<const uint8_t> data, int64_t n, float* out) {
  CALLIE_RETURN_IF_ERROR(check_size(type, n, data.size()));
  if (const FormatCodec* codec = find_codec(type)) {
    const StorageTypeInfo& info = *storage_type_info(type);
    for (int64_t i = 0; i < n / info.block_elements; ++i) {
      decode_block(*codec, data.data() + i * info.block_bytes, info.block_elements,
                   out + i * info.block_elements);
    }
    return ok_status();
  }
  if (!is_float(type)) return packed_family(type).status();
  if (type == StorageType::kF32) {
    std::memcpy(out, data.data(), static_cast<size_t>(n) * 4);
    return ok_status();
  }
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, data.data() + 2 * i, 2);
    out[i] = type == StorageType::kF16 ? kernels::f16_to_f32(bits) : kernels::bf16_to_f32(bits);
  }
  return ok_status();
}

Status encode(StorageType type, const float* in, int64_t n, std::span<uint8_t> out) {
  CALLIE_RETURN_IF_ERROR(check_size(type, n, out.size()));
  const FormatCodec* codec = find_codec(type);
  if (codec != nullptr && codec->write_block != nullptr) {
    const StorageTypeInfo& info = *storage_type_info(type);
    for (int64_t i = 0; i < n / info.block_elements; ++i) {
      codec->write_block(in + i * info.block_elements, out.data() + i * info.block_bytes);
    }
    return ok_status();
  }
  if (!is_float(type)) {
    return error(StatusCode::kUnimplemented, "no encoder for {}", storage_type_info(type)->name);
  }
  if (type == StorageType::kF32) {
    std::memcpy(out.data(), in, static_cast<size_t>(n) * 4);
    return ok_status();
  }
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits =
        type == StorageType::kF16 ? kernels::f32_to_f16(in[i]) : kernels::f32_to_bf16(in[i]);
    std::memcpy(out.data() + 2 * i, &bits, 2);
  }
  return ok_status();
}

}  // namespace callie::tensor
