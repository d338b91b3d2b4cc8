#pragma once

#include "tensor/formats/codec.h"

namespace callie::tensor {

extern const FormatCodec kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K,
    kIQ4_NL, kIQ4_XS;

}  // namespace callie::tensor
