#include <algorithm>

#include "plan/sim/floor_sum.h"
#include "plan/sim/run.h"

namespace callie::plan {

EngineRequest Run::engine_request(const Live& r, uint32_t id) const {
  EngineRequest e;
  e.id = id;
  e.serial = r.serial;
  e.prompt = r.prompt;
  e.output = r.output;
  e.max_tokens = r.max_tokens;
  e.priority = r.priority;
  e.arrival = r.arrival;
  e.deadline = spec_.slo.ttft_ms > 0 ? r.arrival + from_ms(spec_.slo.ttft_ms) : r.arrival;
  e.loaded = r.loaded;
  e.hashes = r.hashes;
  return e;
}

void Run::submit(int client, uint32_t id) {
  Client& c = clients_[client];
  Live& r = live_[id];
  r.client = static_cast<int16_t>(client);
  r.queued = -1;
  enter(c, r);
  c.outstanding += r.prompt + r.max_tokens;
  ++c.sent_requests;
  c.sent_tokens += r.prompt + r.max_tokens;
  c.inbox.push_back(id);
  want_kick(c);
}

/// Makes a client look at its queues: at once when idle (after everything else that arrives at this instant), at the
/// end of the step in progress when several steps were merged.
void Run::want_kick(Client& c) {
  if (c.busy) {
    interrupt(c);
  } else if (!c.kick_pending && c.up) {
    c.kick_pending = true;
    events_.push(now_, EventType::kTimer, static_cast<uint32_t>(&c - clients_.data()));
  }
}

bool Run::plan(Client& c, std::vector<BatchView>& views, std::vector<uint8_t>& planned) {
  for (size_t i = 0; i < c.inbox.size(); ++i) {
    const uint32_t id = c.inbox[i];
    Live& r = live_[id];
    size_t best = 0;
    if (c.engines.size() > 1) {
      // vLLM's data-parallel balancing: fewest 4 * waiting + running.
      int64_t least = INT64_MAX;
      for (size_t e = 0; e < c.engines.size(); ++e) {
        const EngineLoad load = c.engines[e]->load();
        const int64_t score = 4 * static_cast<int64_t>(load.waiting) + load.running;
        if (score < least) {
          least = score;
          best = e;
        }
      }
    }
    EngineRequest request = engine_request(r, id);
    if (c.role == Role::kPrefill && r.output > 1) {
      request.output = request.max_tokens = 1;
      request.hold = true;
    } else if (c.role == Role::kPrefill) {
      request.output = 1;
    }
    r.queued = now_;
    spend(r, kSlotQueue);
    const Status accepted = c.engines[best]->submit(request, now_);
    if (!accepted.ok()) {
      leave(c, r);
      c.outstanding -= r.prompt + r.max_tokens;
      reject(id, false);
    }
  }
  c.inbox.clear();
  bool any = false;
  for (size_t e = 0; e < c.engines.size(); ++e) {
    Ns wake = kNever;
    planned[e] = c.engines[e]->plan(now_, views[e], wake);
    any |= planned[e] != 0;
    if (!planned[e] && wake < kNever) {
      events_.push(std::max(wake, now_), EventType::kTimer, static_cast<uint32_t>(&c - clients_.data()));
    }
    engine_events(c, *c.engines[e]);
    c.peak_blocks = std::max(c.peak_blocks, c.engines[e]->pool().used());
  }
  return any;
}

Ns Run::duration(Client& c, const std::vector<BatchView>& views, const std::vector<uint8_t>& planned) {
  const GroupSpec& g = spec_.groups[c.group];
  const bool alone = views.size() == 1;
  // Ranks of a data-parallel group step together; those without work compute one token.
  GroupRows rows;
  for (size_t e = 0; !alone && e < views.size(); ++e) {
    const int own = planned[e] ? views[e].tokens() : 1;
    rows.largest = std::max(rows.largest, own);
    rows.total += own;
  }
  const bool padded = rows.largest <= g.graph_rows;
  if (padded) rows.total = rows.largest * static_cast<int>(views.size());
  Ns longest = 0;
  int64_t sequences = 0, tokens = 0;
  for (size_t e = 0; e < views.size(); ++e) {
    if (!alone && !planned[e]) {
      BatchView dummy;
      dummy.add_decode(1, 1);
      rows.own = padded ? rows.largest : 1;
      longest = std::max(longest, g.cost->step_ns(dummy, rows));
      continue;
    }
    if (!alone) rows.own = padded ? rows.largest : views[e].tokens();
    Ns time = g.cost->step_ns(views[e], rows);
    if (views[e].swapped_tokens > 0) {
      time += static_cast<Ns>(static_cast<double>(views[e].swapped_tokens) * g.kv_bytes_per_token / g.host_gbs);
    }
    if (g.draft_cost && views[e].decode_sequences > 0) {
      BatchView draft;
      draft.decode_sequences = draft.decode_tokens = draft.samples = views[e].decode_sequences;
      draft.decode_context = views[e].decode_context;
      draft.decode_context_max = views[e].decode_context_max;
      draft.decode_context_min = views[e].decode_context_min;
      time += g.engine.draft_tokens * g.draft_cost->step_ns(draft);
    }
    longest = std::max(longest, time);
    sequences += views[e].prefill_chunks + views[e].decode_sequences;
    tokens += views[e].tokens();
  }
  c.host = g.host.per_step + g.host.per_sequence * sequences + g.host.per_token * tokens +
           g.host.per_request * c.admitted;
  return longest + c.host;
}

void Run::kick(Client& c) {
  if (c.busy || !c.up) return;
  if (!plan(c, c.views, c.planned)) {
    // A lone sequence may have given up its blocks to the reservations of others: it can be admitted again at once.
    bool waiting = false;
    for (const auto& engine : c.engines) waiting |= !engine->idle();
    if (!waiting || !plan(c, c.views, c.planned)) return;
  }
  begin_step(c);
}

void Run::begin_step(Client& c) {
  const GroupSpec& g = spec_.groups[c.group];
  c.busy = true;
  c.start = now_;
  c.merged = 1;
  const int32_t admitted = c.admitted;
  c.end = now_ + duration(c, c.views, c.planned);
  c.admitted = 0;
  const BatchView& view = c.views[0];
  c.batch = view.decode_sequences;
  c.repeats = 0;
  if (!spec_.plan_each_step && c.engines.size() == 1 && view.prefill_tokens == 0 && view.swapped_tokens == 0 &&
      !g.draft_cost && view.decode_tokens == view.decode_sequences && view.window == 0) {
    const int64_t more = c.engines[0]->repeats();
    c.repeats = more;
    if (more > 0 && spec_.fast_forward && admitted == 0 && !spec_.trace_steps && g.cost->affine(view, c.affine)) {
      c.repeats = 0;
      c.context = view.decode_context;
      c.merged = std::min<int64_t>(more, 1 << 20) + 1;
      c.end = c.start + elapsed(c, c.merged);
    }
  }
  events_.push(c.end, EventType::kStepEnd, static_cast<uint32_t>(&c - clients_.data()), ++c.generation);
  if (g.engine.async) c.has_next = plan(c, c.next_views, c.next_planned);
}

/// Time of `steps` merged steps: the context grows by one token per sequence and step, so the times are an arithmetic
/// series, each floored to a nanosecond; floor_sum adds them exactly.
Ns Run::elapsed(const Client& c, int64_t steps) const {
  const auto n = static_cast<uint64_t>(steps);
  const auto sum = floor_sum(n, uint64_t{1} << kAffineShift, static_cast<uint64_t>(c.affine.slope) * c.batch,
                             static_cast<uint64_t>(c.affine.base + c.affine.slope * c.context));
  return static_cast<Ns>(sum) + steps * c.host;
}

/// Books `steps` finished steps of the merged series that took `time`.
void Run::count_steps(Client& c, int64_t steps, Ns time) {
  const double n = static_cast<double>(steps);
  c.steps += steps;
  c.decode_tokens += steps * c.batch;
  c.outstanding -= steps * c.batch;
  c.decode_context += n * static_cast<double>(c.context) + static_cast<double>(c.batch) * n * (n - 1) / 2;
  c.busy_time += time;
  c.batch_time += static_cast<double>(c.batch) * static_cast<double>(time);
}

/// Brings a client with merged steps to the state it has just before `now`: steps that ended earlier are applied.
void Run::sync(Client& c, Ns now) {
  settle(c);
  if (!c.busy || c.merged <= 1 || now <= c.start) return;
  // Largest j <= merged - 1 with start + elapsed(j) < now.
  const Ns gap = now - c.start;
  int64_t low = 0, high = c.merged - 1;
  const double first = static_cast<double>(elapsed(c, 1));
  const int64_t guess = std::clamp<int64_t>(static_cast<int64_t>(static_cast<double>(gap) / first), 0, high);
  // Steps only get longer, so the guess is an upper bound.
  high = guess;
  if (high > 0 && elapsed(c, high) < gap) low = high;
  while (high - low > 1 || (high > low && elapsed(c, high) < gap)) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (elapsed(c, middle) < gap) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low == 0) return;
  const Ns time = elapsed(c, low);
  c.engines[0]->repeat(low);
  count_steps(c, low, time);
  c.peak_blocks = std::max(c.peak_blocks, c.engines[0]->pool().used());
  c.start += time;
  c.context += low * c.batch;
  c.merged -= low;
}

/// Cuts a merged series at the end of the step in progress.
void Run::interrupt(Client& c) {
  settle(c);
  c.repeats = 0;
  if (c.merged <= 1) return;
  sync(c, now_);
  if (c.merged <= 1) return;
  c.merged = 1;
  c.end = c.start + elapsed(c, 1);
  events_.push(c.end, EventType::kStepEnd, static_cast<uint32_t>(&c - clients_.data()), ++c.generation);
}

/// Lets the engine apply the repeated steps that were simulated without asking it.
void Run::settle(Client& c) {
  if (c.behind == 0) return;
  c.engines[0]->repeat(c.behind);
  c.behind = 0;
  c.peak_blocks = std::max(c.peak_blocks, c.engines[0]->pool().used());
}

void Run::step_end(Client& c) {
  const auto self = static_cast<int16_t>(&c - clients_.data());
  if (c.merged > 1) {
    const int64_t n = c.merged - 1;
    const Ns time = elapsed(c, n);
    c.engines[0]->repeat(n);
    count_steps(c, n, time);
    c.peak_blocks = std::max(c.peak_blocks, c.engines[0]->pool().used());
    c.start += time;
    c.context += n * c.batch;
    c.merged = 1;
    ++c.steps;
    c.decode_tokens += c.batch;
    c.outstanding -= c.batch;
    c.decode_context += static_cast<double>(c.context);
  } else {
    ++c.steps;
    for (size_t e = 0; e < c.views.size(); ++e) {
      if (!c.planned[e]) continue;
      const BatchView& v = c.views[e];
      c.prefill_tokens += v.prefill_tokens;
      c.decode_tokens += v.decode_tokens;
      c.outstanding -= v.prefill_tokens + v.decode_tokens;
      c.pairs2 += static_cast<double>(v.prefill_pairs2);
      c.decode_context += static_cast<double>(v.decode_context);
    }
  }
  c.busy_time += now_ - c.start;
  c.batch_time += static_cast<double>(c.views[0].decode_sequences) * static_cast<double>(now_ - c.start);
  if (spec_.trace_steps && result_.steps.size() < spec_.max_trace_steps) {
    result_.steps.push_back({c.start, now_, self, c.views[0].prefill_tokens, c.views[0].decode_sequences});
  }
  if (c.repeats > 0) {
    // The next step is the same, one token further.
    --c.repeats;
    ++c.behind;
    BatchView& view = c.views[0];
    view.decode_context += c.batch;
    ++view.decode_context_max;
    ++view.decode_context_min;
    c.start = now_;
    c.end = now_ + duration(c, c.views, c.planned);
    events_.push(c.end, EventType::kStepEnd, self, ++c.generation);
    return;
  }
  settle(c);
  c.busy = false;
  for (size_t e = 0; e < c.engines.size(); ++e) {
    if (!c.planned[e]) continue;
    c.engines[e]->commit(now_);
    engine_events(c, *c.engines[e]);
  }
  if (!c.incoming.empty()) try_reserve(c);
  if (!c.up) return;
  if (c.has_next) {
    c.has_next = false;
    std::swap(c.views, c.next_views);
    std::swap(c.planned, c.next_planned);
    begin_step(c);
    return;
  }
  kick(c);
}

void Run::engine_events(Client& c, Engine& engine) {
  // Handlers may add requests to this client, never events to this engine.
  auto& events = engine.events();
  for (size_t i = 0; i < events.size(); ++i) {
    const EngineEvent event = events[i];
    Live& r = live_[event.id];
    if (!r.alive) continue;  // a branch that was stopped when its request joined in this very step
    switch (event.kind) {
      case EngineEvent::Kind::kAdmitted:
        ++c.admitted;
        c.outstanding -= event.cached;
        if (r.parent == kNone && r.decode_client < 0) {
          if (r.scheduled < 0) r.scheduled = now_;
          r.cached = event.cached;
          spend(r, kSlotQueue);
        }
        break;
      case EngineEvent::Kind::kFirstToken:
        first_token(c, event.id);
        break;
      case EngineEvent::Kind::kFinished:
        llm_finished(c, event.id);
        break;
    }
  }
  events.clear();
}

void Run::retire(Client& c, uint32_t id) {
  Live& r = live_[id];
  leave(c, r);
  ++c.served;
}

void Run::llm_finished(Client& c, uint32_t id) {
  Live& r = live_[id];
  c.outstanding -= std::max(r.max_tokens - r.output, 0);
  if (r.parent != kNone) {
    retire(c, id);
    branch_finished(id);
    return;
  }
  if (r.branches > 0) {
    retire(c, id);
    branch_finished(id);
    return;
  }
  if (c.role == Role::kPrefill && r.output > 1) {
    c.outstanding -= r.output;  // the decode side does the rest
    hand_over(c, id);
    return;
  }
  retire(c, id);
  r.last = now_;
  spend(r, kSlotDecode);
  ++r.stage;
  advance(id);
}

}  // namespace callie::plan
