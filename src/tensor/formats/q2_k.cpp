#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// 16 bytes of (4-bit scale, 4-bit min), 64 bytes of 2-bit codes, f16 scale, f16 min (subtracted).
void read_block(const uint8_t* block, CanonicalBlock& out) {
  const uint8_t* scales = block;
  const uint8_t* codes = block + 16;
  for (int g = 0; g < 16; ++g) {
    out.group_scales[g] = static_cast<int8_t>(scales[g] & 15);
    out.group_mins[g] = static_cast<int8_t>(scales[g] >> 4);
  }
  for (int i = 0; i < 256; ++i) {
    out.codes[i] = (codes[32 * (i / 128) + i % 32] >> (2 * ((i / 32) % 4))) & 3;
  }
  out.scale = load_u16(block + 80);
  out.min = negate_f16(load_u16(block + 82));
}

}  // namespace

const FormatCodec kQ2_K = {StorageType::kQ2_K,
                           super_family(2, 16, 0, kernels::ScaleKind::kSuperNibble), read_block};

}  // namespace callie::tensor
