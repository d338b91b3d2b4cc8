#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/packed_view.h"
#include "kernels/quantize_rows.h"

namespace callie::kernels {

/// The matrix kernels of one instruction set. Same contracts as matmul() and matmul_f32().
struct MatmulKernels {
  std::string_view name;  ///< "avx512-vnni", "avx-vnni", "vnni256", "avx2", "neon", "scalar"
  void (*matmul)(const PackedView& w, const QuantizedRows& x, int64_t panel_begin,
                 int64_t panel_end, float* y, int64_t ldy);
  void (*matmul_f32)(const PackedView& w, const float* x, int64_t ldx, int64_t m,
                     int64_t panel_begin, int64_t panel_end, float* y, int64_t ldy);
  /// Runs `iterations` register-only dot-4 instructions on 16 chains; returns the multiply-adds
  /// done.
  int64_t (*dot_peak)(int64_t iterations);
};

/// Every set of this build that the processor runs, best first; the scalar reference is last.
/// "vnni256" holds the AVX-VNNI kernels in their AVX-512VL encoding.
const std::vector<const MatmulKernels*>& list_matmul_kernels();

/// The set in use: the best, or what set_target() or set_matmul_kernels() chose.
const MatmulKernels& active_matmul_kernels();

/// Forces a set by name, "" for the best; false when there is none of that name. For tests and
/// benches; not to be called while a kernel runs.
bool set_matmul_kernels(std::string_view name);

/// One accessor for each set that this build may have; nullptr where the build or the processor
/// lacks it.
const MatmulKernels* scalar_matmul_kernels();
const MatmulKernels* avx2_matmul_kernels();
const MatmulKernels* avx_vnni_matmul_kernels();
const MatmulKernels* vnni256_matmul_kernels();
const MatmulKernels* avx512_matmul_kernels();
const MatmulKernels* neon_matmul_kernels();

}  // namespace callie::kernels
