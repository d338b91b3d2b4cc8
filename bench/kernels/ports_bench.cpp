// Which instructions take issue slots from the dot product (AVX-512 VNNI, x86-64): twelve independent vpdpbusd alone and
// beside four others. docs/performance.md derives from it how near to the dot peak a quantized product can come.
//   g++ -O2 bench/kernels/ports_bench.cpp -o ports_bench && taskset -c 0 ./ports_bench
#include <algorithm>
#include <cstdio>
#include <ctime>

#define THREE(op, to) op " %%zmm30,%%zmm31,%%zmm" #to "\n"
#define TWO(op, to) op " %%zmm31,%%zmm" #to "\n"
#define DOTS                                                                                                      \
  THREE("vpdpbusd", 0) THREE("vpdpbusd", 1) THREE("vpdpbusd", 2) THREE("vpdpbusd", 3) THREE("vpdpbusd", 4)        \
  THREE("vpdpbusd", 5) THREE("vpdpbusd", 6) THREE("vpdpbusd", 7) THREE("vpdpbusd", 8) THREE("vpdpbusd", 9)        \
  THREE("vpdpbusd", 10) THREE("vpdpbusd", 11)
#define FOUR(kind, op) kind(op, 12) kind(op, 13) kind(op, 14) kind(op, 15)
#define MEASURE(name, body)                                                                                       \
  {                                                                                                               \
    double best = 1e9;                                                                                            \
    for (int repetition = 0; repetition < 9; ++repetition) {                                                      \
      const double start = seconds();                                                                             \
      for (int i = 0; i < kLoops; ++i) {                                                                          \
        asm volatile(body ::: "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9",     \
                     "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15");                                       \
      }                                                                                                           \
      best = std::min(best, seconds() - start);                                                                   \
    }                                                                                                             \
    if (alone == 0) alone = best;                                                                                 \
    std::printf("%-28s %.2f of the dots' time\n", name, best / alone);                                            \
  }

namespace {

constexpr int kLoops = 1000000;

double seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

int main() {
  if (!__builtin_cpu_supports("avx512vnni")) {
    std::puts("this processor has no AVX-512 VNNI");
    return 1;
  }
  double alone = 0;
  MEASURE("12 dots", DOTS)
  MEASURE("and 4 f32 multiply-adds", DOTS FOUR(THREE, "vfmadd231ps"))
  MEASURE("and 4 f32 multiplications", DOTS FOUR(THREE, "vmulps"))
  MEASURE("and 4 f32 additions", DOTS FOUR(THREE, "vaddps"))
  MEASURE("and 4 conversions to f32", DOTS FOUR(TWO, "vcvtdq2ps"))
  MEASURE("and 4 scalings by 2^n", DOTS FOUR(THREE, "vscalefps"))
  MEASURE("and 4 32-bit multiplications", DOTS FOUR(THREE, "vpmulld"))
  MEASURE("and 4 16-bit pair products", DOTS FOUR(THREE, "vpmaddwd"))
  MEASURE("and 4 16-bit dots", DOTS FOUR(THREE, "vpdpwssd"))
  MEASURE("and 4 32-bit additions", DOTS FOUR(THREE, "vpaddd"))
}
