#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// f16 scale, 16 bits of high scale bits, 4 bytes of low scale nibbles (offset 32), 128 bytes of
/// nibbles that index the table.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  const int high = load_u16(block + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = (block[4 + g / 2] >> (4 * (g % 2))) & 15;
    out.group_scales[g] = static_cast<int8_t>((low | (((high >> (2 * g)) & 3) << 4)) - 32);
    read_nibbles(block + 8 + 16 * g, out.codes.data() + 32 * g);
  }
}

}  // namespace

const FormatCodec kIQ4_XS = {StorageType::kIQ4_XS, nonlinear_family(kernels::ScaleKind::kSuper),
                             read_block};

}  // namespace callie::tensor
