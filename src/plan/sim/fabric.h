#pragma once

#include <cstdint>
#include <vector>

#include "plan/types.h"

namespace callie::plan {

/// Shared links with max-min fair rates (progressive filling), recomputed whenever a transfer joins or leaves. A
/// transfer crosses one or two links; its latency is added by the caller.
class Fabric {
 public:
  /// `gbs` GB/s; `streams` > 0 limits the transfers that run at the same time, the others wait in order (SSD, object
  /// store).
  int add_link(double gbs, int streams = 0);
  int links() const { return static_cast<int>(links_.size()); }

  /// Starts a transfer of `bytes` at `now`; `tag` comes back when it is complete. `second` = -1: one link.
  void start(Ns now, double bytes, int first, int second, uint64_t tag);
  /// Moves all transfers to `now` and appends the tags of those complete, in order of their start.
  void advance(Ns now, std::vector<uint64_t>& done);
  /// Earliest completion; kNever when nothing moves.
  Ns next() const { return next_; }
  /// Drops the transfers with these tags (their machine failed).
  void cancel(Ns now, uint64_t tag);

  /// Busy time of a link and bytes it carried.
  double busy_s(int link) const { return to_seconds(links_[link].busy); }
  double bytes(int link) const { return links_[link].carried; }
  int active() const { return static_cast<int>(flows_.size()); }
  /// Time-integral of the number of transfers on a link, in seconds (Little's law).
  double flow_seconds(int link) const { return links_[link].flow_time; }

 private:
  struct LinkState {
    double rate = 0;  // bytes per ns
    int streams = 0;
    Ns busy = 0;
    double carried = 0, flow_time = 0;
    double left = 0;  // scratch of the filling
    int count = 0, open = 0;
  };
  struct Flow {
    double left;
    double rate;
    int link[2];
    uint64_t tag;
    bool waiting;
  };

  void move_to(Ns now);
  void share();

  std::vector<LinkState> links_;
  std::vector<Flow> flows_;
  Ns now_ = 0, next_ = kNever;
};

}  // namespace callie::plan
