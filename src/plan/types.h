#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace callie::plan {

/// Simulated time: integer nanoseconds since the start of the run.
using Ns = int64_t;
inline constexpr Ns kNever = std::numeric_limits<int64_t>::max();

inline constexpr double kNsPerS = 1e9;
inline Ns from_seconds(double s) { return static_cast<Ns>(std::llround(s * kNsPerS)); }
inline Ns from_ms(double ms) { return static_cast<Ns>(std::llround(ms * 1e6)); }
inline Ns from_us(double us) { return static_cast<Ns>(std::llround(us * 1e3)); }
inline double to_seconds(Ns t) { return static_cast<double>(t) / kNsPerS; }
inline double to_ms(Ns t) { return static_cast<double>(t) / 1e6; }

}  // namespace callie::plan
