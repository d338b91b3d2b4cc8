#include "kernels/cpu_features.h"

namespace callie::kernels {

#if defined(__x86_64__)

bool processor_has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
}

bool processor_has_avx_vnni() { return processor_has_avx2() && __builtin_cpu_supports("avxvnni"); }

bool processor_has_vnni256() {
  return processor_has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

bool processor_has_avx512_vnni() {
  return processor_has_vnni256() && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq");
}

#else

bool processor_has_avx2() { return false; }
bool processor_has_avx_vnni() { return false; }
bool processor_has_vnni256() { return false; }
bool processor_has_avx512_vnni() { return false; }

#endif

}  // namespace callie::kernels
