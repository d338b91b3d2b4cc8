#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/cost/roofline.h"

namespace callie::plan {

/// Kernel latencies of one machine as AIConfigurator stores them: gemm_perf, context_attention_perf,
/// generation_attention_perf, custom_allreduce_perf, nccl_perf (CSV, gzipped or not). Only gemm_perf must be there.
struct AiconfiguratorTables;

/// Errors: kNotFound, kDataLoss with file, line and column.
StatusOr<std::shared_ptr<const AiconfiguratorTables>> load_aiconfigurator(const std::string& folder);

/// Milliseconds of a bf16 matrix product [m, k] x [k, n]: interpolated in m for a measured (n, k); for other shapes the
/// utilisation (roofline time / latency) of the nearest measured shape is carried over.
double gemm_ms(const AiconfiguratorTables& tables, const Hardware& hardware, double m, double n, double k);

/// Errors: kInvalidArgument.
StatusOr<std::shared_ptr<const StepCost>> make_aiconfigurator_cost(std::shared_ptr<const AiconfiguratorTables> tables,
                                                                   const ModelShape& model, const Hardware& hardware,
                                                                   const Parallelism& parallelism,
                                                                   const RooflineOptions& options);

}  // namespace callie::plan
