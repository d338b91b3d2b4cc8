#pragma once

namespace callie::kernels {

/// What the processor and the system run, whatever set_target() forced. All false where the question makes no sense.
bool processor_has_avx2();         ///< with FMA and F16C
bool processor_has_avx_vnni();     ///< and AVX2
bool processor_has_vnni256();      ///< AVX-512VL with AVX-512 VNNI, and AVX2
bool processor_has_avx512_vnni();  ///< and AVX-512 BW and DQ

}  // namespace callie::kernels
