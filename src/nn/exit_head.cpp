#include "nn/exit_head.h"

namespace callie::nn {
namespace {

// y = linear x, with x quantized first where the matrix reads it so.
void product(const Worker& worker, const Linear& linear, const ExitScratch& s, const float* x, int64_t m,
             Precision precision, float* y) {
  const int64_t cols = linear.cols();
  const kernels::QuantizedRows rows{s.quantized, linear.fine ? 2 * m : m, cols};
  if (linear.reads_quantized(precision)) {
    const auto share = worker.share(m);
    quantize_input(linear, x, m, s.quantized, share.begin, share.end, s.remainder);
    worker.sync();
  }
  LinearInput input{x, cols, &rows};
  if (linear.fine) input.scratch = s.fine + worker.index * s.fine_floats;
  linear_forward(worker, linear, input, m, precision, y, linear.rows());
  worker.sync();
}

}  // namespace

void exit_forward(const Worker& worker, const ExitHead& exit, const ExitScratch& scratch, int64_t m,
                  Precision precision, float* logits) {
  product(worker, exit.map, scratch, scratch.normed, m, precision, scratch.mapped);
  product(worker, *exit.head, scratch, scratch.mapped, m, precision, logits);
}

}  // namespace callie::nn
