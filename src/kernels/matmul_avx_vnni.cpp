#include "kernels/cpu_features.h"
#include "kernels/matmul_kernels.h"
#include "kernels/packed_layout.h"

#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_avx_vnni.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET == HWY_AVX2
HWY_BEFORE_NAMESPACE();
HWY_PUSH_ATTRIBUTES("avxvnni")
#define CALLIE_DOT 2
#define CALLIE_KERNELS_NAME "avx-vnni"
#include "kernels/matmul_target-inl.h"
HWY_POP_ATTRIBUTES
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace callie::kernels {

const MatmulKernels* avx_vnni_matmul_kernels() {
#if HWY_TARGETS & HWY_AVX2
  if (processor_has_avx_vnni()) return &N_AVX2::kTable;
#endif
  return nullptr;
}

}  // namespace callie::kernels
#endif
