#pragma once

#include <cstdint>

#include "kernels/packed_view.h"

namespace callie::tensor {

inline uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | (p[1] << 8)); }
inline void store_u16(uint16_t value, uint8_t* p) {
  p[0] = static_cast<uint8_t>(value & 255);
  p[1] = static_cast<uint8_t>(value >> 8);
}
/// Minus a binary16 number, by its bits.
inline uint16_t negate_f16(uint16_t bits) { return bits ^ 0x8000u; }

/// 32 nibbles of 16 bytes: the low ones first.
inline void read_nibbles(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + 16] = bytes[i] >> 4;
  }
}

constexpr kernels::PackedFamily direct_family(uint8_t bits, uint8_t zero, bool has_min) {
  return {kernels::Coding::kAffine,
          bits,
          32,
          has_min ? kernels::ScaleKind::kF16Min : kernels::ScaleKind::kF16,
          zero,
          {}};
}
constexpr kernels::PackedFamily super_family(uint8_t bits, uint8_t group, uint8_t zero,
                                             kernels::ScaleKind scale) {
  return {kernels::Coding::kAffine, bits, group, scale, zero, {}};
}

/// The 16 levels of IQ4_NL and IQ4_XS (llama.cpp's ggml-common.h), plus 128.
constexpr kernels::PackedFamily nonlinear_family(kernels::ScaleKind scale) {
  return {kernels::Coding::kTable,
          4,
          32,
          scale,
          128,
          {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241}};
}

}  // namespace callie::tensor
