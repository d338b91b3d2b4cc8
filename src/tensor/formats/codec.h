#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/status.h"
#include "kernels/packed_view.h"
#include "tensor/storage_type.h"

namespace callie::tensor {

/// One on-disk block in canonical form: integer codes and group scales, no rounding anywhere.
/// w[k] = scale·group_scale[k/group]·(code[k] − zero) (+ min·group_min[k/group]); the group factors
/// are 1 in formats whose blocks have one scale. `zero` and the code table are the family's.
struct CanonicalBlock {
  std::array<uint8_t, 256> codes;       ///< block_elements of them
  std::array<int8_t, 16> group_scales;  ///< super families only
  std::array<int8_t, 16> group_mins;
  uint16_t scale;  ///< binary16 bits
  uint16_t min;    ///< binary16 bits; added, so formats that subtract a min flip its sign
};

/// An integer storage format. Adding one: a file with its codec and a line in registry.cpp; no
/// kernel.
struct FormatCodec {
  StorageType type;
  kernels::PackedFamily family;
  void (*read_block)(const uint8_t* block, CanonicalBlock& out);
  /// block_elements floats to one block, as ggml's reference quantizer does; nullptr when there is
  /// no encoder.
  void (*write_block)(const float* in, uint8_t* block) = nullptr;
};

/// nullptr for types that are not integer formats.
const FormatCodec* find_codec(StorageType type);

/// All integer formats, in the order of their numbers.
std::span<const FormatCodec* const> all_codecs();

/// The packed family of a storage type, floats included. Errors: kUnimplemented for integer and f64
/// tensors.
StatusOr<kernels::PackedFamily> packed_family(StorageType type);

/// Decodes `n` elements (whole blocks) of any weight type to f32, bit-equal to the Python package
/// `gguf`. Errors: kUnimplemented (type), kInvalidArgument (n is not whole blocks, or `data` is
/// shorter).
Status decode(StorageType type, std::span<const uint8_t> data, int64_t n, float* out);

/// Encodes `n` f32 to F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0 or Q5_1, bit-equal to the Python
/// package `gguf`. Errors: kUnimplemented (no encoder), kInvalidArgument (n is not whole blocks, or
/// `out` is shorter).
Status encode(StorageType type, const float* in, int64_t n, std::span<uint8_t> out);

}  // namespace callie::tensor
