#include "tensor/formats/bits.h"
#include "tensor/formats/encode.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// f16 scale, 32 int8; codes are offset by 128 to be unsigned.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  for (int i = 0; i < 32; ++i) out.codes[i] = block[2 + i] ^ 0x80;
}

void write_block(const float* in, uint8_t* block) {
  float largest = 0.0f;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(in[i]));
  const float d = largest / 127.0f;
  const float inverse = inverse_or_zero(d);
  store_u16(kernels::f32_to_f16(d), block);
  for (int i = 0; i < 32; ++i) {
    block[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(in[i] * inverse)));
  }
}

}  // namespace

const FormatCodec kQ8_0 = {StorageType::kQ8_0, direct_family(8, 128, false), read_block,
                           write_block};

}  // namespace callie::tensor
