#pragma once

#include <memory>

#include "core/status.h"
#include "plan/cost/collectives.h"
#include "plan/cost/step_cost.h"
#include "plan/hardware/preset.h"
#include "plan/model/shape.h"

namespace callie::plan {

struct RooflineOptions {
  double weight_bytes = 2;  ///< per element
  double kv_bytes = 2;      ///< per element
  bool fp8_compute = false; ///< 8-bit matrix products run at the fp8 rate
  double sampler_us = 20;   ///< once per step, and per sampled sequence below: what vLLM's sampler takes in the measured
  double sampler_per_sequence_us = 0.4;  ///< tables of RTX 4090 and RTX PRO 6000
};

/// Step times from a model's sizes and a device's limits: each part takes the longer of its arithmetic and its memory
/// traffic at the device's efficiencies; collectives are added. Decode-only steps are exact straight lines of the
/// context, so that they can be merged.
std::shared_ptr<const StepCost> make_roofline_cost(const ModelShape& model, const Hardware& hardware,
                                                   const Parallelism& parallelism, const RooflineOptions& options);

/// Time of an encoder over `tokens` tokens in sequences of `length`, in nanoseconds (embedding of queries, re-ranking).
double encoder_ns(const ModelShape& model, const Hardware& hardware, double tokens, double length,
                  double weight_bytes);

/// time = base + per_prefill * prompt tokens + per_decode * sequences + per_context * summed context + per_pair * pairs.
struct LinearOptions {
  double base_us = 0, per_prefill_us = 0, per_decode_us = 0, per_context_us = 0, per_pair_us = 0;
};
std::shared_ptr<const StepCost> make_linear_cost(const LinearOptions& options);

}  // namespace callie::plan
