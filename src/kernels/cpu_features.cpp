#include "kernels/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace callie::kernels {

#if defined(__x86_64__)
namespace {

// Features that older compilers know no name of; whether the system saves the registers follows from AVX2's own check.
bool processor_has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 29)) != 0;
}

}  // namespace

bool processor_has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2") && processor_has_f16c();
}

bool processor_has_avx_vnni() {
  unsigned eax, ebx, ecx, edx;
  return processor_has_avx2() && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1u << 4)) != 0;
}

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
