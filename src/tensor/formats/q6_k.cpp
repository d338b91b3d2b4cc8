#include <cstring>

#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// 128 bytes of low nibbles, 64 bytes of high 2-bit codes, 16 int8 scales, f16 scale.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  const uint8_t* low = block;
  const uint8_t* high = block + 128;
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int quarter = (i / 32) % 4;
    const int column = i % 32;
    const int nibble = low[64 * half + 32 * (quarter % 2) + column] >> (4 * (quarter / 2));
    const int top = high[32 * half + column] >> (2 * quarter);
    out.codes[i] = static_cast<uint8_t>((nibble & 15) | ((top & 3) << 4));
  }
  std::memcpy(out.group_scales.data(), block + 192, 16);
  out.scale = load_u16(block + 208);
}

}  // namespace

const FormatCodec kQ6_K = {StorageType::kQ6_K, super_family(6, 16, 32, kernels::ScaleKind::kSuper),
                           read_block};

}  // namespace callie::tensor
