#include "kernels/matmul_kernels.h"

namespace callie::kernels {

const MatmulKernels* vnni256_matmul_kernels() { return nullptr; }

}  // namespace callie::kernels
