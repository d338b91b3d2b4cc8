#pragma once

#include <cadical.hpp>
#include <chrono>

#include "core/interrupt.h"

namespace callie::assertions {

/// Ends a solver's search when the time is over or the user stops the program.
class Deadline : public CaDiCaL::Terminator {
 public:
  explicit Deadline(double seconds) : end_(Clock::now() + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6))) {}
  bool terminate() override { return passed(); }
  bool passed() const { return Clock::now() >= end_ || interrupted(); }
  double left_s() const { return std::chrono::duration<double>(end_ - Clock::now()).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

}  // namespace callie::assertions
