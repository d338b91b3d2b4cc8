#include "tensor/formats/bits.h"
#include "tensor/formats/encode.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

constexpr int kHigh = 2;  // the high bits' place in a block
constexpr int kLow = 6;   // the nibbles'

/// f16 scale, 32 high bits, 16 bytes of low nibbles.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  read_nibbles(block + kLow, out.codes.data());
  for (int i = 0; i < 32; ++i) {
    out.codes[i] |= ((block[kHigh + i / 8] >> (i % 8)) & 1) << 4;
  }
}

void write_block(const float* in, uint8_t* block) {
  const SignedScale s = scale_by_extreme(in, -16.0f);
  store_u16(s.scale_bits, block);
  for (int i = 0; i < 4; ++i) block[kHigh + i] = 0;
  for (int i = 0; i < 32; ++i) {
    const int code = round_clamped(in[i] * s.inverse, 16.5f, 31);
    uint8_t& nibbles = block[kLow + i % 16];
    nibbles = static_cast<uint8_t>(i < 16 ? code & 15 : nibbles | ((code & 15) << 4));
    block[kHigh + i / 8] |= static_cast<uint8_t>((code >> 4) << (i % 8));
  }
}

}  // namespace

const FormatCodec kQ5_0 = {StorageType::kQ5_0, direct_family(5, 16, false), read_block,
                           write_block};

}  // namespace callie::tensor
