#pragma once

#include <memory>
#include <string>

#include "plan/cost/batch_view.h"
#include "plan/types.h"

namespace callie::plan {

/// Parallel degrees of one engine.
struct Parallelism {
  int tp = 1;
  int pp = 1;
  int ep = 1;  ///< ranks that share the experts; over the whole data-parallel group
  int dp = 1;  ///< engines that step together and share experts
};

/// The exact time of a decode-only step as a straight line of the summed context, in units of 2^-16 ns:
/// time = (base + slope * decode_context) >> 16.
struct AffineStep {
  int64_t base = 0;
  int64_t slope = 0;
};
inline constexpr int kAffineShift = 16;

/// Token rows of a data-parallel group in one step. All 0 when the engine steps alone.
struct GroupRows {
  int own = 0;      ///< of this rank, padding included
  int largest = 0;  ///< of the rank with most
  int total = 0;    ///< over all ranks: what the experts see
};

/// The time of one engine step. Pure: equal batches take equal time.
class StepCost {
 public:
  virtual ~StepCost() = default;

  /// Time of the step, host time excluded.
  virtual Ns step_ns(const BatchView& batch, const GroupRows& group) const = 0;
  /// Of an engine that steps alone.
  Ns step_ns(const BatchView& batch) const { return step_ns(batch, {}); }

  /// For a decode-only batch: its time as an exact straight line, step_ns(batch) == (base + slope * ctx) >> 16 for the
  /// same number of sequences at any context. False where the model has none; the simulator then steps.
  virtual bool affine(const BatchView& batch, AffineStep& out) const {
    (void)batch;
    (void)out;
    return false;
  }

  /// One line about what the times rest on, for reports.
  virtual std::string describe() const = 0;

  /// Shapes seen outside the measured range, since the start; 0 for formulas.
  virtual int64_t extrapolated() const { return 0; }
};

/// Host time of an engine: charged once per step, and once per request when it is admitted.
struct HostCost {
  Ns per_step = 0;
  Ns per_sequence = 0;
  Ns per_token = 0;
  Ns per_request = 0;
};

}  // namespace callie::plan
