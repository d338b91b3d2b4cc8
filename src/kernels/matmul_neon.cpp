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
namespace callie::kernels {
namespace {
namespace HWY_NAMESPACE {

#define CALLIE_DOT 5
constexpr int64_t kStreamTokens = 4;
constexpr int64_t kBlockedPanels = 1, kBlockedTokens = 4;
constexpr int64_t kFloatPanels = 2, kFloatTokens = 4;
// The order matters.
// clang-format off
#include "kernels/dot4-inl.h"
#include "kernels/unpack-inl.h"
#include "kernels/matmul_stream-inl.h"
#include "kernels/matmul_blocked-inl.h"
#include "kernels/matmul_float-inl.h"
#include "kernels/matmul_table-inl.h"
// clang-format on

constexpr MatmulKernels kTable = {"neon", matmul_here, matmul_f32_here, dot_peak_here};

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace callie::kernels
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace callie::kernels {

const MatmulKernels* neon_matmul_kernels() {
#if HWY_TARGETS & HWY_NEON
  if (true) return &N_NEON::kTable;
#endif
  return nullptr;
}

}  // namespace callie::kernels
#endif
