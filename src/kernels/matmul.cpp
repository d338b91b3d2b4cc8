#include "kernels/matmul.h"

#include <atomic>

#include "kernels/matmul_kernels.h"

namespace callie::kernels {
namespace {

std::atomic<const MatmulKernels*> active_{nullptr};

}  // namespace

const std::vector<const MatmulKernels*>& list_matmul_kernels() {
  static const std::vector<const MatmulKernels*> all = [] {
    std::vector<const MatmulKernels*> found;
    for (const MatmulKernels* kernels :
         {avx512_matmul_kernels(), avx_vnni_matmul_kernels(), vnni256_matmul_kernels(),
          avx2_matmul_kernels(), neon_matmul_kernels(), scalar_matmul_kernels()}) {
      if (kernels != nullptr) found.push_back(kernels);
    }
    return found;
  }();
  return all;
}

const MatmulKernels& active_matmul_kernels() {
  const MatmulKernels* active = active_.load(std::memory_order_acquire);
  return active != nullptr ? *active : *list_matmul_kernels().front();
}

bool set_matmul_kernels(std::string_view name) {
  if (name.empty()) {
    active_.store(nullptr, std::memory_order_release);
    return true;
  }
  for (const MatmulKernels* kernels : list_matmul_kernels()) {
    if (kernels->name == name) {
      active_.store(kernels, std::memory_order_release);
      return true;
    }
  }
  return false;
}

void matmul(const PackedView& w, const QuantizedRows& x, int64_t panel_begin, int64_t panel_end,
            float* y, int64_t ldy) {
  active_matmul_kernels().matmul(w, x, panel_begin, panel_end, y, ldy);
}

void matmul_f32(const PackedView& w, const float* x, int64_t ldx, int64_t m, int64_t panel_begin,
                int64_t panel_end, float* y, int64_t ldy) {
  active_matmul_kernels().matmul_f32(w, x, ldx, m, panel_begin, panel_end, y, ldy);
}

}  // namespace callie::kernels
