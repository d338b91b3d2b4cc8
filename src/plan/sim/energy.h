#pragma once

#include "plan/cost/batch_view.h"
#include "plan/sim/spec.h"

namespace callie::plan {

/// What a client computed over a run, as far as its energy depends on it.
struct ClientWork {
  double steps = 0, tokens = 0;
  double pairs = 0;           ///< (query, key) pairs
  double decode_context = 0;  ///< KV tokens read
  double busy_s = 0, active_s = 0;
};

/// Joules: idle power over the active time, plus (max - idle) times the weighted utilisations of compute, memory and
/// network, whose integrals over time are work / peak. Exact for any batching, since power is linear in utilisation.
double client_energy(const GroupSpec& group, const PowerSpec& power, const ClientWork& work);

/// Watts while a step runs; idle power without one.
double step_power(const GroupSpec& group, const PowerSpec& power, const BatchView* step, Ns duration);

}  // namespace callie::plan
