#include "kernels/cpu_features.h"
#include "kernels/matmul_kernels.h"
#include "kernels/packed_layout.h"

#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX2)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_avx512.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
// Not Highway's AVX3_DL: 1.0.3 compiles that for AVX-VNNI, which Zen 4 lacks, and not for AVX-512
// VNNI.
HWY_PUSH_ATTRIBUTES("avx512vnni")
#define CALLIE_DOT 4
#define CALLIE_KERNELS_NAME "avx512-vnni"
#include "kernels/matmul_target-inl.h"
HWY_POP_ATTRIBUTES
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace callie::kernels {

const MatmulKernels* avx512_matmul_kernels() {
#if HWY_TARGETS & HWY_AVX3
  if (processor_has_avx512_vnni()) return &N_AVX3::kTable;
#endif
  return nullptr;
}

}  // namespace callie::kernels
#endif
