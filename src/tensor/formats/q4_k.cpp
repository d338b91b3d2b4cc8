#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"
#include "tensor/formats/k_scales.h"

namespace callie::tensor {
namespace {

/// f16 scale, f16 min (subtracted), 12 bytes of group scales, 128 bytes of nibbles: two groups
/// share 32 bytes.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  out.min = negate_f16(load_u16(block + 2));
  read_k_scales(block + 4, out);
  const uint8_t* nibbles = block + 16;
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      out.codes[64 * pair + i] = nibbles[32 * pair + i] & 15;
      out.codes[64 * pair + 32 + i] = nibbles[32 * pair + i] >> 4;
    }
  }
}

}  // namespace

const FormatCodec kQ4_K = {StorageType::kQ4_K,
                           super_family(4, 32, 0, kernels::ScaleKind::kSuperMin), read_block};

}  // namespace callie::tensor
