#include "kernels/cpu_features.h"
#include "kernels/matmul_kernels.h"
#include "kernels/packed_layout.h"

#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_vnni256.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET == HWY_AVX2
HWY_BEFORE_NAMESPACE();
// The AVX-VNNI kernels in AVX-512VL's encoding: 256-bit products where AVX-VNNI itself is missing.
HWY_PUSH_ATTRIBUTES("avx512f,avx512vl,avx512vnni")
#define CALLIE_DOT 3
#define CALLIE_KERNELS_NAME "vnni256"
#include "kernels/matmul_target-inl.h"
HWY_POP_ATTRIBUTES
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace callie::kernels {

const MatmulKernels* vnni256_matmul_kernels() {
#if HWY_TARGETS & HWY_AVX2
  if (processor_has_vnni256()) return &N_AVX2::kTable;
#endif
  return nullptr;
}

}  // namespace callie::kernels
#endif
