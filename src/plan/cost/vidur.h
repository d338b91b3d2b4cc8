#pragma once

#include "plan/cost/roofline.h"

namespace callie::plan {

/// Step times from a Vidur compute profile (mlp.csv: milliseconds of each operator by tokens and tensor-parallel
/// degree). The profile has no attention, embedding or head: those come from the device's roofline.
/// Errors: kNotFound (no rows for this degree), kDataLoss.
StatusOr<std::shared_ptr<const StepCost>> make_vidur_cost(const std::string& mlp_csv, const ModelShape& model,
                                                          const Hardware& hardware, const Parallelism& parallelism,
                                                          const RooflineOptions& options);

}  // namespace callie::plan
