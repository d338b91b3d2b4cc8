#include "nn/perturbation.h"

#include <algorithm>

#include "core/philox.h"

namespace callie::nn {

void perturb_output(const Worker& worker, const Perturbation& perturbation, int layer, int matrix, const float* x,
                    int64_t m, int64_t cols, int64_t rows, float* y) {
  const CounterRng rng(perturbation.seed, Purpose::kPerturbation, static_cast<uint32_t>(layer * 8 + matrix));
  constexpr int64_t kSignsPerBlock = 128;
  float signs[kSignsPerBlock];
  const auto share = worker.share(rows);
  for (int64_t row = share.begin; row < share.end; ++row) {
    for (int64_t begin = 0; begin < cols; begin += kSignsPerBlock) {
      const auto words = rng.words(static_cast<uint64_t>(row), static_cast<uint32_t>(begin / kSignsPerBlock));
      for (int64_t i = 0; i < kSignsPerBlock; ++i) {
        signs[i] = (words[i / 32] >> (i % 32) & 1) ? perturbation.scale : -perturbation.scale;
      }
      const int64_t n = std::min(kSignsPerBlock, cols - begin);
      for (int64_t token = 0; token < m; ++token) {
        float sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += signs[i] * x[token * cols + begin + i];
        y[token * rows + row] += sum;
      }
    }
  }
}

}  // namespace callie::nn
