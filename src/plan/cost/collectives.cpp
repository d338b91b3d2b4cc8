#include "plan/cost/collectives.h"

#include <algorithm>

namespace callie::plan {

double all_reduce_ns(double bytes, int ranks, const Link& link, bool one_shot) {
  if (ranks <= 1) return 0;
  const double t = ranks, per_byte = 1.0 / link.gbs;
  const double ring = link.startup_ns + 2 * (t - 1) * link.latency_ns + 2 * (t - 1) / t * bytes * per_byte;
  if (!one_shot) return ring;
  return std::min(ring, link.startup_ns + link.latency_ns + (t - 1) * bytes * per_byte);
}

double all_gather_ns(double bytes_per_rank, int ranks, const Link& link) {
  if (ranks <= 1) return 0;
  return link.startup_ns + (ranks - 1) * (link.latency_ns + bytes_per_rank / link.gbs);
}

double reduce_scatter_ns(double bytes, int ranks, const Link& link) {
  if (ranks <= 1) return 0;
  return link.startup_ns + (ranks - 1) * (link.latency_ns + bytes / ranks / link.gbs);
}

double all_to_all_ns(double bytes, int ranks, const Link& link) {
  if (ranks <= 1) return 0;
  const double t = ranks;
  return link.startup_ns + (t - 1) * link.latency_ns + (t - 1) / t * bytes / link.gbs;
}

double send_ns(double bytes, const Link& link) { return link.latency_ns + bytes / link.gbs; }

}  // namespace callie::plan
