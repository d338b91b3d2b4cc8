#pragma once

#include <cstdint>

#include "tensor/formats/codec.h"

namespace callie::tensor {

/// The 12 bytes that hold eight 6-bit scales and eight 6-bit mins in Q4_K and Q5_K: bytes 0..3
/// and 4..7 hold the first four of each in their low six bits; bytes 8..11 hold the low nibbles of
/// the last four, whose top two bits are the top bits of bytes 0..7.
inline void read_k_scales(const uint8_t* bytes, CanonicalBlock& out) {
  for (int g = 0; g < 4; ++g) {
    out.group_scales[g] = static_cast<int8_t>(bytes[g] & 63);
    out.group_mins[g] = static_cast<int8_t>(bytes[g + 4] & 63);
    out.group_scales[g + 4] = static_cast<int8_t>((bytes[g + 8] & 15) | ((bytes[g] >> 6) << 4));
    out.group_mins[g + 4] = static_cast<int8_t>((bytes[g + 8] >> 4) | ((bytes[g + 4] >> 6) << 4));
  }
}

}  // namespace callie::tensor
