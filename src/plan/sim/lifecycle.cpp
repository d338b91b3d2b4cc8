#include <algorithm>
#include <cmath>

#include "plan/sim/run.h"

namespace callie::plan {

void Run::activate(Client& c, bool on) {
  if (c.active == on) return;
  if (on) {
    c.active_since = now_;
  } else {
    c.active_time += now_ - c.active_since;
  }
  c.active = on;
  if (on) c.pending_start = false;
}

/// One decision per period: a machine more when many wait, one less when few are served. A removed machine finishes
/// what it has and takes nothing new.
void Run::scale(int group) {
  const AutoscaleSpec& a = spec_.groups[group].autoscale;
  int active = 0, starting = 0;
  int64_t inside = 0, waiting = 0;
  for (Client& c : clients_) {
    if (c.group != group) continue;
    starting += c.pending_start;
    inside += c.inside;
    if (!c.active) continue;
    ++active;
    waiting += static_cast<int64_t>(c.inbox.size()) + c.incoming.size() + c.queue.size();
    for (const auto& engine : c.engines) waiting += engine->load().waiting;
  }
  const double n = std::max(active, 1);
  if (static_cast<double>(waiting) / n > a.up_waiting) {
    for (Client& c : clients_) {
      if (c.group != group || c.active || c.pending_start || !c.up) continue;
      c.pending_start = true;
      events_.push(now_ + a.delay, EventType::kReady, static_cast<uint32_t>(&c - clients_.data()));
      break;
    }
  } else if (active > a.min && starting == 0 && static_cast<double>(inside) / n < a.down_running) {
    for (size_t k = clients_.size(); k-- > 0;) {
      if (clients_[k].group != group || !clients_[k].active) continue;
      activate(clients_[k], false);
      break;
    }
  }
  events_.push(now_ + a.period, EventType::kScale, static_cast<uint32_t>(group));
}

void Run::schedule_failure(Client& c) {
  const FailureSpec& f = spec_.groups[c.group].failure;
  const auto self = static_cast<uint32_t>(&c - clients_.data());
  if (c.failures == 0 && c.index == 0) {
    for (const double at : f.at_s) events_.push(first_arrival_ + from_seconds(at), EventType::kFailure, self);
  }
  if (f.mtbf_s <= 0) return;
  const double u = uniform((static_cast<uint64_t>(self) << 32) + c.failures, 6000);
  events_.push(now_ + from_seconds(-f.mtbf_s * std::log(u)) + (c.failures == 0 ? first_arrival_ : 0),
               EventType::kFailure, self);
}

void Run::fail(Client& c) {
  if (!c.up) return;
  sync(c, now_);
  ++c.failures;
  c.up = false;
  c.busy = c.has_next = false;
  ++c.generation;
  std::vector<uint32_t> lost;
  for (auto& engine : c.engines) engine->drain(lost, now_);
  lost.insert(lost.end(), c.inbox.begin(), c.inbox.end());
  c.inbox.clear();
  while (!c.incoming.empty()) {
    lost.push_back(c.incoming.front());
    c.incoming.pop_front();
  }
  while (!c.queue.empty()) {
    lost.push_back(c.queue.front());
    c.queue.pop_front();
  }
  for (size_t s = 0; s < c.servers.size(); ++s) {
    lost.insert(lost.end(), c.servers[s].begin(), c.servers[s].end());
    c.servers[s].clear();
    if (c.ends[s] != kNever) c.busy_time -= c.ends[s] - now_;
    c.ends[s] = kNever;
  }
  // A lost branch takes its request along, even when the request's own branch had ended.
  for (size_t i = 0, n = lost.size(); i < n; ++i) {
    if (live_[lost[i]].parent != kNone) lost.push_back(live_[lost[i]].parent);
  }
  std::sort(lost.begin(), lost.end());
  lost.erase(std::unique(lost.begin(), lost.end()), lost.end());
  c.area += c.inside * (now_ - c.last_change);
  c.last_change = now_;
  const auto self = static_cast<int16_t>(&c - clients_.data());
  for (const uint32_t id : lost) {
    if (!live_[id].alive) continue;
    Live& r = live_[id];
    if (r.parent != kNone) {  // a branch: its request starts over as a whole
      free_live(id);
      continue;
    }
    if (r.in_flow) fabric_.cancel(now_, id);
    // A request on its way from prefill to decode holds blocks on the side that is still up.
    for (const int16_t side : {r.client, r.decode_client}) {
      if (side < 0 || side == self || !(r.in_flow || r.decode_client >= 0)) continue;
      for (auto& engine : clients_[side].engines) engine->release(id);
      if (side == r.client) leave(clients_[side], r);
    }
    r.in_flow = false;
    r.first_branch = kNone;
    r.branches = r.joined = 0;
    r.held = false;
    r.decode_client = -1;
    retry_or_fail(id);
  }
  c.inside = 0;
  c.outstanding = 0;
  const FailureSpec& f = spec_.groups[c.group].failure;
  const double u = uniform((static_cast<uint64_t>(self) << 32) + c.failures, 7000);
  events_.push(now_ + from_seconds(-f.mttr_s * std::log(u)), EventType::kRepair, static_cast<uint32_t>(self));
}

void Run::repair(Client& c) {
  c.up = true;
  schedule_failure(c);
  if (c.engines.empty()) {
    station_start(c);
  } else {
    want_kick(c);
  }
}

/// The request starts its present stage again after the retry delay, until its attempts are used up.
void Run::retry_or_fail(uint32_t id) {
  Live& r = live_[id];
  if (r.retries >= spec_.retry.attempts) {
    reject(id, true);
    return;
  }
  ++r.retries;
  ++result_.retries;
  r.client = -1;
  r.loaded = 0;
  r.tier = -1;
  // Back to the first language-model stage if it had got beyond it.
  while (r.stage > 0 && static_cast<size_t>(r.stage) >= spec_.pipeline.size()) --r.stage;
  r.action = Action::kStage;
  ++r.generation;
  events_.push(now_ + spec_.retry.delay, EventType::kRetry, id, r.generation);
}

}  // namespace callie::plan
