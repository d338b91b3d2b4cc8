#include "tensor/formats/bits.h"
#include "tensor/formats/formats.h"

namespace callie::tensor {
namespace {

/// f16 scale, 16 bytes of nibbles that index the table.
void read_block(const uint8_t* block, CanonicalBlock& out) {
  out.scale = load_u16(block);
  read_nibbles(block + 2, out.codes.data());
}

}  // namespace

const FormatCodec kIQ4_NL = {StorageType::kIQ4_NL, nonlinear_family(kernels::ScaleKind::kF16),
                             read_block};

}  // namespace callie::tensor
