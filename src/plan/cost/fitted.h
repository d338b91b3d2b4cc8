#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "plan/cost/step_cost.h"

namespace callie::plan {

/// One measured step of an engine.
struct StepSample {
  double prefill = 0;        ///< prompt tokens
  double prefill_work = 0;   ///< sum n (c + n/2)
  double decode = 0;         ///< sequences
  double context = 0;        ///< summed context of the decode sequences
  double drafted = 0;        ///< verified draft tokens
  double step_us = 0, host_us = 0;
  double start_s = 0;        ///< when it was planned; to tell the pause before the next step
};

/// A whole-step regression (HERMES): in each regime (decode, prefill, mixed) a non-negative sum of
///   1, n_prefill, n_decode, summed context, prefill work
/// with hinges of n_prefill and n_decode at knots, fitted to the least absolute relative errors by reweighted non-negative
/// least squares and then scaled to the mean of the measured times, short pauses included.
/// Outside the range that it was fitted on, the nearest measured utilisation is carried on and counted as extrapolated.
struct FittedModel {
  static constexpr int kRegimes = 3;
  struct Regime {
    std::vector<double> knots_prefill, knots_decode;
    /// Of 1, n_pf, n_dec, ctx, work, drafted, tiles of 4, 8, 16 and 64 rows, the first 4, 16, 64 and 96 rows, hinges of
    /// n_pf, hinges of n_dec; microseconds.
    std::vector<double> beta;
    int64_t samples = 0;
    int64_t left_out = 0;      ///< of them, too far off the line to be the engine's own
    double median_error = 0, p90_error = 0, bias = 0;  ///< in sample, shares
    double most_prefill = 0, most_decode = 0, most_context = 0, most_work = 0;
  };
  Regime regimes[kRegimes];
  std::string source;
  double gap_us = 0;  ///< typical pause between the end of a step and the start of the next

  double predict_us(const StepSample& shape) const;
  Status save(const std::string& path) const;
};

/// Errors: kInvalidArgument (fewer than five steps in every regime).
StatusOr<FittedModel> fit_steps(const std::vector<StepSample>& steps, const std::string& source);
StatusOr<FittedModel> load_fitted(const std::string& path);
StatusOr<std::shared_ptr<const StepCost>> load_fitted_cost(const std::string& path);
std::shared_ptr<const StepCost> make_fitted_cost(const FittedModel& model);

/// Reads a step log of `callie serve` (JSONL with a header line). Errors: file, line and field.
StatusOr<std::vector<StepSample>> load_step_log(const std::string& path);
/// The same from memory; `path` is what errors name.
StatusOr<std::vector<StepSample>> parse_step_log(const std::string& text, const std::string& path);

/// Non-negative least squares by Lawson and Hanson's active-set method. `rows` x `columns`, row-major.
std::vector<double> solve_nnls(const std::vector<double>& matrix, const std::vector<double>& right, int columns);

}  // namespace callie::plan
