#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/status.h"
#include "decode/edge_cloud/clock.h"
#include "decode/edge_cloud/target_passes.h"

namespace callie::edge_cloud {

/// One pass to run, and its result.
struct PassJob {
  SessionId session = 0;
  uint64_t pass = 0;
  std::vector<TokenId> committed, draft;
  int first_new = 0;
  bool exits = false;
  TimeNs queued_at = 0;
  PassResult result;
};

struct ExitReport {
  uint64_t pass = 0;
  int exit = 0;
  Outcome outcome;
  float confidence = 0;
  TimeNs at = 0;  ///< since the start of the batch
};

/// The large model as a function: a batch of passes in, outcomes out, on the caller's thread. The virtual clock and the
/// server's compute thread both drive it.
class SyncTarget {
 public:
  virtual ~SyncTarget() = default;

  virtual Status open(SessionId session, const Open& request) = 0;
  virtual void evict(SessionId session) = 0;
  virtual void close(SessionId session) = 0;
  virtual int cache_length(SessionId session) const = 0;
  /// Runs the jobs as one ragged batch and fills their results; at most one job a session. `on_exit` is called while the
  /// batch runs. Returns how long the batch took; jobs' verify_us hold it too.
  virtual TimeNs run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) = 0;
};

}  // namespace callie::edge_cloud
