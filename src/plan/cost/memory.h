#pragma once

#include "core/status.h"
#include "plan/cost/step_cost.h"
#include "plan/model/shape.h"

namespace callie::plan {

struct MemoryPlan {
  double device_gib = 80;
  double share = 0.9;         ///< of the device that the engine may use
  double weight_bytes = 2;    ///< per element
  double kv_bytes = 2;        ///< per element
  double reserve_gib = 0;     ///< activations and context beside weights and KV
  int block_size = 16;
};

/// Bytes of the weights that one device holds.
double weight_bytes_per_device(const ModelShape& model, const Parallelism& parallelism, double bytes_per_element);

/// KV blocks of one engine: floor((memory * share - reserve - weights) / (kappa * block / (tp * pp))).
/// Errors: kInvalidArgument when the weights leave no room for one block.
StatusOr<int32_t> kv_blocks(const ModelShape& model, const Parallelism& parallelism, const MemoryPlan& memory);

}  // namespace callie::plan
