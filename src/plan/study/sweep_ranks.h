#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/status.h"
#include "plan/study/sweep.h"

namespace callie::plan {

/// The processes of an `mpirun`: rank 0 holds the sweep and hands out configurations; each other rank simulates one at a
/// time. They see the same files under the same paths. One thread at a time may call it.
class SweepRanks {
 public:
  /// One configuration: its place in the grid, and how many requests to simulate (0: as it says itself).
  struct Task {
    int64_t point = 0, requests = 0;
  };

  /// Whether this build has MPI.
  static bool available();

  /// Joins the others. Errors: kUnimplemented in a build without MPI.
  static StatusOr<std::unique_ptr<SweepRanks>> join();
  virtual ~SweepRanks() = default;  ///< on rank 0: sends the others home

  virtual int rank() const = 0;

  /// Other ranks: simulates what rank 0 hands out until it sends this one home or the user interrupts.
  virtual void work(const std::function<StatusOr<SweepPoint>(const Task&)>& simulate) = 0;

  /// Rank 0: hands out what `next` gives until it gives nothing, and returns when every result has come to `done`.
  /// Errors: that of a rank that could not simulate its task; kCancelled when one was interrupted.
  virtual Status hand_out(const std::function<std::optional<Task>()>& next,
                          const std::function<void(const Task&, const SweepPoint&)>& done) = 0;
};

}  // namespace callie::plan
