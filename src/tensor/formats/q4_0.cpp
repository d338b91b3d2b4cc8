#include "tensor/formats/bits.h"
#include "tensor/formats/encode.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// f16 scale, 16 bytes of nibbles.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  read_nibbles(block + 2, out.codes.data());
}

void write_block(const float* in, uint8_t* block) {
  const SignedScale s = scale_by_extreme(in, -8.0f);
  store_u16(s.scale_bits, block);
  for (int i = 0; i < 16; ++i) {
    const int low = round_clamped(in[i] * s.inverse, 8.5f, 15);
    const int high = round_clamped(in[i + 16] * s.inverse, 8.5f, 15);
    block[2 + i] = static_cast<uint8_t>(low | (high << 4));
  }
}

}  // namespace

const FormatCodec kQ4_0 = {StorageType::kQ4_0, direct_family(4, 8, false), read_block, write_block};

}  // namespace callie::tensor
