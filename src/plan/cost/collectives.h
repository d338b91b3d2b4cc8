#pragma once

namespace callie::plan {

/// Point-to-point link between the devices of one engine: `gbs` GB/s in each direction, `latency_ns` per message.
/// `startup_ns` is paid once per collective.
struct Link {
  double gbs = 0;
  double latency_ns = 0;
  double startup_ns = 0;
};

/// Ring all-reduce of `bytes` held by each of `ranks`: startup + 2(t-1) L + 2(t-1)/t M/BW (GenZ), against one-shot
/// exchange startup + L + (t-1) M/BW; the smaller. One-shot only when `one_shot`.
double all_reduce_ns(double bytes, int ranks, const Link& link, bool one_shot);
/// Ring all-gather: every rank ends with `ranks * bytes_per_rank`.
double all_gather_ns(double bytes_per_rank, int ranks, const Link& link);
/// Ring reduce-scatter of `bytes` per rank.
double reduce_scatter_ns(double bytes, int ranks, const Link& link);
/// All-to-all of `bytes` per rank, a share of (t-1)/t leaves it.
double all_to_all_ns(double bytes, int ranks, const Link& link);
/// One message.
double send_ns(double bytes, const Link& link);

}  // namespace callie::plan
