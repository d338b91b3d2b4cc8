#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// 32 bytes of high bits, 64 bytes of low 2-bit codes, 12 bytes of 6-bit scales (offset 32), f16
/// scale.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  const uint8_t* high = block;
  const uint8_t* low = block + 32;
  const uint8_t* scales = block + 96;
  for (int g = 0; g < 16; ++g) {
    const int nibble = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
    const int top = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    out.group_scales[g] = static_cast<int8_t>((nibble | (top << 4)) - 32);
  }
  for (int i = 0; i < 256; ++i) {
    const int code = (low[32 * (i / 128) + i % 32] >> (2 * ((i / 32) % 4))) & 3;
    const int bit = (high[i % 32] >> (i / 32)) & 1;
    out.codes[i] = static_cast<uint8_t>(code | (bit << 2));
  }
  out.scale = load_u16(block + 108);
}

}  // namespace

const FormatCodec kQ3_K = {StorageType::kQ3_K, super_family(3, 16, 4, kernels::ScaleKind::kSuper),
                           read_block};

}  // namespace callie::tensor
