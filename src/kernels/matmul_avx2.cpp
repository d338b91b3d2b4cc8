#include "kernels/matmul_kernels.h"

namespace callie::kernels {

const MatmulKernels* avx2_matmul_kernels() { return nullptr; }

}  // namespace callie::kernels
