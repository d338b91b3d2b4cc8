#include "decode/edge_cloud/clock.h"

#include <chrono>

namespace callie::edge_cloud {

TimeNs SteadyClock::now() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace callie::edge_cloud
