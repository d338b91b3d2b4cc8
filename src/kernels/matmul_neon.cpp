#include "kernels/cpu_features.h"
#include "kernels/matmul_kernels.h"
#include "kernels/packed_layout.h"

#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul_neon.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#if HWY_TARGET == HWY_NEON
HWY_BEFORE_NAMESPACE();
#define CALLIE_DOT 5
#define CALLIE_KERNELS_NAME "neon"
#include "kernels/matmul_target-inl.h"
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace callie::kernels {

const MatmulKernels* neon_matmul_kernels() {
#if HWY_TARGETS & HWY_NEON
  return &N_NEON::kTable;
#else
  return nullptr;
#endif
}

}  // namespace callie::kernels
#endif
