// Per-target header, included by matmul_TARGET.cpp between HWY_BEFORE_NAMESPACE and
// HWY_AFTER_NAMESPACE, with the target's own attributes pushed: all its kernels, as `kTable`.
// CALLIE_DOT says which dot product the target has (see dot4-inl.h), CALLIE_KERNELS_NAME what the
// set is called.

namespace callie::kernels {
namespace {
namespace HWY_NAMESPACE {

// Register tiles: AVX-512 has 32 registers of 16 lanes, the others 16 of 8 or 32 of 4.
constexpr int64_t kStreamTokens = CALLIE_DOT == 4 ? 8 : 4;
constexpr int64_t kBlockedPanels = CALLIE_DOT == 4 ? 2 : 1, kBlockedTokens = 4;
constexpr int64_t kFloatPanels = CALLIE_DOT == 4 ? 4 : 2, kFloatTokens = 4;
// The order matters.
// clang-format off
#include "kernels/dot4-inl.h"
#include "kernels/unpack-inl.h"
#include "kernels/matmul_stream-inl.h"
#include "kernels/matmul_blocked-inl.h"
#include "kernels/matmul_float-inl.h"
#include "kernels/matmul_table-inl.h"
// clang-format on

constexpr MatmulKernels kTable = {CALLIE_KERNELS_NAME, matmul_here, matmul_f32_here, dot_peak_here};

}  // namespace HWY_NAMESPACE
}  // namespace
}  // namespace callie::kernels
