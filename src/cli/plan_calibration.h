#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "plan/cost/fitted.h"

namespace callie::cli {

/// Steps measured on a live engine.
struct CalibrationSteps {
  std::vector<plan::StepSample> steps;
  std::string source;
  std::string note;  ///< where the times come from, when not from the engine itself
};

/// Loads the server at `url` with closed loops of 1 to 16 clients and prompts of 8 to 512 words, about a minute, and
/// collects GET /debug/steps; without that endpoint the steps are made up from client-side times, and `note` says so.
/// Errors: kUnavailable; kCancelled on Ctrl-C.
StatusOr<CalibrationSteps> measure_engine(const std::string& url);

/// The same on a `callie serve` of `model` that is started for it and stopped afterwards.
StatusOr<CalibrationSteps> measure_own_engine(const std::string& model, int threads);

}  // namespace callie::cli
