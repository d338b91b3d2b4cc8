#include "kernels/matmul_kernels.h"

namespace callie::kernels {

const MatmulKernels* avx_vnni_matmul_kernels() { return nullptr; }

}  // namespace callie::kernels
