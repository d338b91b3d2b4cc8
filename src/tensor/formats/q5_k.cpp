#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"
#include "tensor/formats/k_scales.h"

namespace callie::tensor {
namespace {

/// As Q4_K, with 32 bytes of high bits (bit g of byte i: column i of group g) before the nibbles.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  out.min = negate_f16(load_u16(block + 2));
  read_k_scales(block + 4, out);
  const uint8_t* high = block + 16;
  const uint8_t* nibbles = block + 48;
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 32; ++i) {
      const int low = (nibbles[32 * (g / 2) + i] >> (4 * (g % 2))) & 15;
      out.codes[32 * g + i] = static_cast<uint8_t>(low | (((high[i] >> g) & 1) << 4));
    }
  }
}

}  // namespace

const FormatCodec kQ5_K = {StorageType::kQ5_K,
                           super_family(5, 32, 0, kernels::ScaleKind::kSuperMin), read_block};

}  // namespace callie::tensor
