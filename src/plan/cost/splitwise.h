#pragma once

#include "plan/cost/step_cost.h"
#include "core/status.h"
#include "plan/model/shape.h"

namespace callie::plan {

/// Step times from Splitwise's perf_model.csv: median prompt time over batched prompt tokens, median token time over
/// batch size, for one model, device and tensor-parallel degree; a mixed step takes 1.1 times its prompt part.
/// Errors: kNotFound (no such rows; the message lists what there is), kDataLoss.
StatusOr<std::shared_ptr<const StepCost>> make_splitwise_cost(const std::string& csv, const ModelShape& model,
                                                              const std::string& device,
                                                              const Parallelism& parallelism);

}  // namespace callie::plan
