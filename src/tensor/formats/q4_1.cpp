#include "tensor/formats/bits.h"
#include "tensor/formats/encode.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// f16 scale, f16 min, 16 bytes of nibbles.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  out.min = load_u16(block + 2);
  read_nibbles(block + 4, out.codes.data());
}

void write_block(const float* in, uint8_t* block) {
  const RangeScale s = scale_by_range(in, 15.0f);
  store_u16(s.scale_bits, block);
  store_u16(s.min_bits, block + 2);
  for (int i = 0; i < 16; ++i) {
    const int low = round_clamped((in[i] - s.min) * s.inverse, 0.5f, 15);
    const int high = round_clamped((in[i + 16] - s.min) * s.inverse, 0.5f, 15);
    block[4 + i] = static_cast<uint8_t>(low | (high << 4));
  }
}

}  // namespace

const FormatCodec kQ4_1 = {StorageType::kQ4_1, direct_family(4, 0, true), read_block, write_block};

}  // namespace callie::tensor
