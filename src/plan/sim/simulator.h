#pragma once

#include <memory>

#include "core/status.h"
#include "plan/sim/result.h"
#include "plan/sim/spec.h"

namespace callie::plan {

/// Runs one configuration to its end. Deterministic: a function of `spec` alone.
/// Errors: kInvalidArgument (a stage that no client serves, an engine that cannot be built), kCancelled (Ctrl-C).
StatusOr<SimResult> simulate(const SimSpec& spec);

}  // namespace callie::plan
