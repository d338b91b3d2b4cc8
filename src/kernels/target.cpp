#include "kernels/target.h"

#include <hwy/highway.h>

#include "kernels/matmul_kernels.h"

namespace callie::kernels {
namespace {

// Every instruction set with code in this build; the static one is the fallback that always runs.
constexpr int64_t kGenerated = HWY_TARGETS;

#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
int64_t runnable() { return kGenerated; }
void choose(int64_t) {}
int64_t chosen_ = 0;
#else
int64_t chosen_ = 0;  // 0: not forced
int64_t runnable() {
  hwy::SetSupportedTargetsForTest(0);
  return (hwy::SupportedTargets() | HWY_STATIC_TARGET) & kGenerated;
}
// Lower bits are better instruction sets: keep the wanted one and everything below it in rank.
void choose(int64_t target) {
  const int64_t kept = runnable() & ~(target - 1);
  hwy::SetSupportedTargetsForTest(kept);
  hwy::GetChosenTarget().Update(kept);
}
#endif

// The matrix kernels have sets of their own (two for AVX-VNNI); they follow by rank.
void choose_matmul(int64_t target) {
  const char* name = target <= HWY_AVX3   ? "avx512-vnni"
                     : target == HWY_AVX2 ? "avx2"
                     : target == HWY_NEON ? "neon"
                                          : "scalar";
  if (!set_matmul_kernels(name)) set_matmul_kernels("");
}

}  // namespace

std::vector<std::string> list_targets() {
  std::vector<std::string> names;
  for (int64_t left = runnable(); left != 0; left &= left - 1) {
    names.emplace_back(hwy::TargetName(left & -left));
  }
  if (chosen_ != 0) choose(chosen_);
  return names;
}

std::string current_target() {
  if (chosen_ != 0) return hwy::TargetName(chosen_);
  return list_targets().front();
}

bool set_target(std::string_view name) {
  for (int64_t left = runnable(); left != 0; left &= left - 1) {
    const int64_t target = left & -left;
    if (name.empty() || name == hwy::TargetName(target)) {
      chosen_ = name.empty() ? 0 : target;
      choose(target);
      if (name.empty()) {
        set_matmul_kernels("");
      } else {
        choose_matmul(target);
      }
      return true;
    }
  }
  if (chosen_ != 0) choose(chosen_);
  return false;
}

}  // namespace callie::kernels
