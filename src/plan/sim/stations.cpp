#include <algorithm>
#include <cmath>

#include "plan/sim/run.h"

namespace callie::plan {

void Run::station_push(Client& c, uint32_t id) {
  enter(c, live_[id]);
  ++c.sent_requests;
  live_[id].entered = now_;
  c.queue.push_back(id);
  station_start(c);
}

/// Starts idle servers on batches of up to max_batch; a smaller batch waits for max_wait.
void Run::station_start(Client& c) {
  const StationSpec& s = spec_.groups[c.group].station;
  const auto self = static_cast<uint32_t>(&c - clients_.data());
  if (!c.up) return;
  for (int server = 0; server < s.servers && !c.queue.empty(); ++server) {
    if (c.ends[server] != kNever) continue;
    if (c.queue.size() < s.max_batch && s.max_wait > 0) {
      const Ns due = live_[c.queue.front()].entered + s.max_wait;
      if (due > now_) {
        events_.push(due, EventType::kTimer, self);
        return;
      }
    }
    auto& batch = c.servers[server];
    batch.clear();
    double longest = 0, tokens = 0;
    while (!c.queue.empty() && static_cast<int>(batch.size()) < s.max_batch) {
      const uint32_t id = c.queue.front();
      c.queue.pop_front();
      const Live& r = live_[id];
      const auto w = rng_.words(r.serial, 5000 + static_cast<uint32_t>(r.stage));
      longest = std::max(longest, s.service.fixed_ms.sample(CounterRng::uniform53(w[0], w[1]),
                                                            CounterRng::uniform53(w[2], w[3])));
      tokens += c.role == Role::kPostprocess ? r.output : r.prompt;
      batch.push_back(id);
    }
    const double ms = longest + s.service.batch_ms + (batch.size() == 1 ? s.service.single_ms : 0) +
                      s.service.per_query_ms * static_cast<double>(batch.size()) + s.service.per_token_us * tokens / 1e3;
    const Ns time = from_ms(ms);
    c.ends[server] = now_ + time;
    c.busy_time += time;
    ++c.steps;
    events_.push(now_ + time, EventType::kStation, self, static_cast<uint32_t>(server));
  }
}

void Run::station_done(Client& c, int server) {
  if (c.ends[server] != now_) return;  // of a batch that a failure ended
  c.ends[server] = kNever;
  scratch_ids_.assign(c.servers[server].begin(), c.servers[server].end());
  c.servers[server].clear();
  const StageSlot slot = c.role == Role::kPreprocess ? kSlotPre : c.role == Role::kRag ? kSlotRag : kSlotPost;
  // The server takes its next batch before the finished requests go on.
  station_start(c);
  for (const uint32_t id : scratch_ids_) {
    Live& r = live_[id];
    leave(c, r);
    ++c.served;
    spend(r, slot);
    const StageSpec& stage = spec_.pipeline[r.stage];
    r.prompt += stage.added_tokens;
    if (stage.added_tokens > 0) r.hashes = {};  // what stands before the retrieved text differs from request to request
    r.last = now_;
    r.client = -1;
    ++r.stage;
    advance(id);
  }
}

}  // namespace callie::plan
