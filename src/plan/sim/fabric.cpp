#include "plan/sim/fabric.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace callie::plan {

int Fabric::add_link(double gbs, int streams) {
  LinkState link;
  link.rate = gbs;  // GB/s = bytes per ns
  link.streams = streams;
  links_.push_back(link);
  return links() - 1;
}

void Fabric::move_to(Ns now) {
  const double dt = static_cast<double>(now - now_);
  if (dt > 0) {
    for (LinkState& link : links_) {
      if (link.count > 0) link.busy += now - now_;
      link.flow_time += link.count * dt * 1e-9;
    }
    for (Flow& flow : flows_) {
      if (flow.waiting) continue;
      const double moved = std::min(flow.left, flow.rate * dt);
      flow.left -= moved;
      for (const int l : flow.link) {
        if (l >= 0) links_[l].carried += moved;
      }
    }
  }
  now_ = now;
}

void Fabric::share() {
  for (LinkState& link : links_) {
    link.left = link.rate;
    link.count = link.open = 0;
  }
  for (Flow& flow : flows_) {
    flow.rate = 0;
    flow.waiting = false;
    for (const int l : flow.link) {
      if (l >= 0 && links_[l].streams > 0 && links_[l].count >= links_[l].streams) flow.waiting = true;
    }
    for (const int l : flow.link) {
      if (l < 0) continue;
      if (!flow.waiting) {
        ++links_[l].count;
        ++links_[l].open;
      }
    }
  }
  size_t unfixed = 0;
  for (const Flow& flow : flows_) unfixed += !flow.waiting;
  // Progressive filling: the link with the smallest fair share fixes its transfers, and so on.
  while (unfixed > 0) {
    double share = std::numeric_limits<double>::infinity();
    int tightest = -1;
    for (int l = 0; l < links(); ++l) {
      if (links_[l].open == 0) continue;
      const double s = links_[l].left / links_[l].open;
      if (s < share) {
        share = s;
        tightest = l;
      }
    }
    for (Flow& flow : flows_) {
      if (flow.waiting || flow.rate > 0 || (flow.link[0] != tightest && flow.link[1] != tightest)) continue;
      flow.rate = share;
      --unfixed;
      for (const int l : flow.link) {
        if (l < 0) continue;
        links_[l].left = std::max(links_[l].left - share, 0.0);
        --links_[l].open;
      }
    }
  }
  double soonest = std::numeric_limits<double>::infinity();
  for (const Flow& flow : flows_) {
    if (!flow.waiting) soonest = std::min(soonest, flow.left / flow.rate);
  }
  next_ = std::isfinite(soonest) ? now_ + static_cast<Ns>(std::ceil(soonest)) : kNever;
}

void Fabric::start(Ns now, double bytes, int first, int second, uint64_t tag) {
  move_to(now);
  flows_.push_back({std::max(bytes, 0.0), 0, {first, second == first ? -1 : second}, tag, false});
  share();
}

void Fabric::advance(Ns now, std::vector<uint64_t>& done) {
  move_to(now);
  bool any = false;
  for (const Flow& flow : flows_) {
    if (!flow.waiting && flow.left <= flow.rate * 0.5) {  // less than half a nanosecond away
      done.push_back(flow.tag);
      any = true;
    }
  }
  if (any) std::erase_if(flows_, [](const Flow& flow) { return !flow.waiting && flow.left <= flow.rate * 0.5; });
  share();
}

void Fabric::cancel(Ns now, uint64_t tag) {
  move_to(now);
  std::erase_if(flows_, [tag](const Flow& flow) { return flow.tag == tag; });
  share();
}

}  // namespace callie::plan
