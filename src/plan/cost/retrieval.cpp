#include "plan/cost/retrieval.h"

#include <algorithm>

namespace callie::plan {

double ivfpq_query_us(const IndexOptions& x, const Hardware& hw) {
  const double flop_us = 1 / (hw.bf16_tflops * 1e6 * hw.compute_efficiency);  // whole device
  const double byte_us = 1 / (hw.memory_gbs * 1e3 * hw.memory_efficiency);
  const double coarse = 2 * x.lists * x.dimension * flop_us;
  const double tables = 2 * 256 * x.dimension * x.probes * flop_us;
  const double codes = std::min(x.vectors * x.probes / x.lists * x.imbalance, x.vectors);
  const double compute = codes * x.ns_per_code * (x.code_bytes / 32) / 1e3 / x.cores;
  const double memory = codes * x.code_bytes * byte_us;
  const double rerank = x.rerank * x.dimension * 4 * byte_us;
  return coarse + tables + std::max(compute, memory) + rerank;
}

}  // namespace callie::plan
