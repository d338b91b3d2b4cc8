#pragma once

#include <cstdint>

namespace callie::edge_cloud {

/// Nanoseconds since some fixed point; differences are what counts.
using TimeNs = int64_t;

inline constexpr TimeNs kMicrosecond = 1000;
inline constexpr TimeNs kMillisecond = 1000 * kMicrosecond;
inline constexpr TimeNs kSecond = 1000 * kMillisecond;
inline constexpr TimeNs kNever = INT64_MAX;

/// Real or virtual time; the state machines know no other.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimeNs now() const = 0;
};

/// The machine's monotonic clock.
class SteadyClock : public Clock {
 public:
  TimeNs now() const override;
};

}  // namespace callie::edge_cloud
