#include "plan/sim/run.h"

#include <ctime>

#include "core/interrupt.h"
#include "plan/sim/energy.h"
#include "plan/sim/simulator.h"

namespace callie::plan {
namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

double Run::uniform(uint64_t serial, uint32_t purpose) const {
  const auto w = rng_.words(serial, purpose);
  return CounterRng::uniform53(w[0], w[1]);
}

uint32_t Run::new_live() {
  if (unused_.empty()) {
    unused_.push_back(static_cast<uint32_t>(live_.size()));
    live_.emplace_back();
  }
  const uint32_t id = unused_.back();
  unused_.pop_back();
  const uint32_t generation = live_[id].generation + 1;
  live_[id] = Live{};
  live_[id].generation = generation;
  live_[id].alive = true;
  return id;
}

void Run::free_live(uint32_t id) {
  live_[id].alive = false;
  unused_.push_back(id);
}

void Run::arrive(const RequestSpec& request) {
  area_ += n_live_ * (now_ - area_time_);
  area_time_ = now_;
  ++result_.arrived;
  const uint32_t id = new_live();
  Live& r = live_[id];
  r.serial = request.serial;
  r.arrival = r.entered = now_;
  r.prompt = request.prompt;
  r.output = request.output;
  r.max_tokens = request.max_tokens;
  r.klass = request.klass;
  r.priority = request.priority;
  r.paths = request.paths;
  r.join = request.join;
  r.hashes = request.hashes;
  ++n_live_;
  peak_live_ = std::max(peak_live_, n_live_);
  const AdmissionSpec& admission = spec_.admission;
  bool admit = admission.max_live <= 0 || n_live_ <= admission.max_live;
  if (admit && admission.rate > 0) {
    tokens_ = std::min(tokens_ + to_seconds(now_ - token_time_) * admission.rate, admission.burst);
    token_time_ = now_;
    admit = tokens_ >= 1;
    if (admit) tokens_ -= 1;
  }
  if (!admit) {
    reject(id, false);
    return;
  }
  advance(id);
}

/// Books the time since the request entered its present state.
void Run::spend(Live& r, StageSlot slot) {
  r.stage_ms[slot] += static_cast<float>(to_ms(now_ - r.entered));
  r.entered = now_;
}

void Run::enter(Client& c, Live& r) {
  c.area += c.inside * (now_ - c.last_change);
  c.last_change = now_;
  ++c.inside;
  r.client_entered = now_;
}

void Run::leave(Client& c, Live& r) {
  c.area += c.inside * (now_ - c.last_change);
  c.last_change = now_;
  --c.inside;
  c.stay += now_ - r.client_entered;
  ++c.left;
}

void Run::advance(uint32_t id) {
  while (true) {
    Live& r = live_[id];
    if (static_cast<size_t>(r.stage) >= spec_.pipeline.size()) {
      complete(id);
      return;
    }
    const StageSpec& stage = spec_.pipeline[r.stage];
    const bool visits = stage.probability >= 1 || uniform(r.serial, 1000 + r.stage) < stage.probability;
    if (!visits) {
      ++r.stage;
      continue;
    }
    switch (stage.kind) {
      case StageKind::kPreprocess:
      case StageKind::kRag:
      case StageKind::kPostprocess: {
        const Role role = stage.kind == StageKind::kPreprocess ? Role::kPreprocess
                          : stage.kind == StageKind::kRag      ? Role::kRag
                                                               : Role::kPostprocess;
        const int c = route(role, r);
        if (c < 0) return retry_or_fail(id);
        r.client = static_cast<int16_t>(c);
        station_push(clients_[c], id);
        return;
      }
      case StageKind::kKv: {
        const int c = route(Role::kPrefill, r);
        if (c < 0) return retry_or_fail(id);
        r.client = static_cast<int16_t>(c);
        ++r.stage;
        if (fetch_kv(c, id)) return;
        continue;
      }
      case StageKind::kPrefill: {
        const int c = r.client >= 0 && language(clients_[r.client].role) && clients_[r.client].up
                          ? r.client
                          : route(Role::kPrefill, r);
        if (c < 0) return retry_or_fail(id);
        submit(c, id);
        return;
      }
      case StageKind::kDecode:  // done together with prefill
        ++r.stage;
        continue;
    }
  }
}

void Run::record(const Live& r, uint8_t outcome) {
  const bool counted = static_cast<int64_t>(r.serial) >= spec_.workload.warmup;
  if (spec_.per_request) {
    RequestRow row;
    row.serial = r.serial;
    row.klass = r.klass;
    row.client = r.decode_client >= 0 ? r.decode_client : r.client;
    row.arrival = r.arrival;
    row.queued = r.queued;
    row.scheduled = r.scheduled;
    row.first_token = r.first;
    row.finished = outcome == 0 ? r.last : now_;
    row.prompt = r.prompt;
    row.cached = r.cached;
    row.output = r.output;
    row.preemptions = r.preemptions;
    row.retries = r.retries;
    row.outcome = outcome;
    result_.requests.push_back(row);
  }
  if (!counted) return;
  ClassMetrics* targets[2] = {&result_.all, &result_.classes[r.klass]};
  const int n = result_.classes.size() > 1 ? 2 : 1;
  if (outcome != 0) {
    for (int i = 0; i < 2; ++i) ++(outcome == 1 ? targets[i]->rejected : targets[i]->failed);
    return;
  }
  const SloSpec& slo = spec_.slo;
  const double ttft = r.first >= 0 ? to_ms(r.first - r.arrival) : 0;
  const double e2e = to_ms(now_ - r.arrival);
  const double tpot = r.output > 1 && r.first >= 0 ? to_ms(r.last - r.first) / (r.output - 1) : -1;
  const bool met_ttft = slo.ttft_ms <= 0 || ttft <= slo.ttft_ms;
  const bool met_tpot = slo.tpot_ms <= 0 || tpot <= slo.tpot_ms;
  const bool met_e2e = slo.e2e_ms <= 0 || e2e <= slo.e2e_ms;
  for (int i = 0; i < n; ++i) {
    ClassMetrics& m = *targets[i];
    ++m.finished;
    m.prompt_tokens += r.prompt;
    m.cached_tokens += r.cached;
    m.output_tokens += r.output;
    if (r.first >= 0) m.ttft_ms.add(ttft);
    if (tpot >= 0) m.tpot_ms.add(tpot);
    m.e2e_ms.add(e2e);
    if (r.scheduled >= 0) m.queue_ms.add(to_ms(r.scheduled - r.arrival));
    m.met_ttft += met_ttft;
    m.met_tpot += met_tpot;
    m.met_e2e += met_e2e;
    m.met_all += met_ttft && met_tpot && met_e2e;
    for (int s = 0; s < 8; ++s) m.stage_ms[s] += r.stage_ms[s];
  }
}

void Run::complete(uint32_t id) {
  Live& r = live_[id];
  area_ += n_live_ * (now_ - area_time_);
  area_time_ = now_;
  --n_live_;
  stay_ += now_ - r.arrival;
  ++result_.finished;
  last_event_ = now_;
  record(r, 0);
  free_live(id);
}

void Run::reject(uint32_t id, bool failed) {
  Live& r = live_[id];
  area_ += n_live_ * (now_ - area_time_);
  area_time_ = now_;
  --n_live_;
  stay_ += now_ - r.arrival;
  ++(failed ? result_.failed : result_.rejected);
  last_event_ = now_;
  record(r, failed ? 2 : 1);
  free_live(id);
}

void Run::run_action(uint32_t id) {
  Live& r = live_[id];
  const Action action = r.action;
  r.action = Action::kNone;
  switch (action) {
    case Action::kStage:
      advance(id);
      break;
    case Action::kStartTransfer:
      start_transfer(id);
      break;
    case Action::kStartFetch: {
      const Client& c = clients_[r.client];
      const GroupSpec& g = spec_.groups[c.group];
      int position = 0;
      while (g.tiers[position] != r.tier) ++position;
      r.in_flow = true;
      fabric_.start(now_, r.loaded * g.kv_bytes_per_token, c.tier_links[position], -1, id);
      break;
    }
    case Action::kNone:
      break;
  }
}

void Run::flows() {
  done_flows_.clear();
  fabric_.advance(now_, done_flows_);
  for (const uint64_t tag : done_flows_) {
    const auto id = static_cast<uint32_t>(tag);
    Live& r = live_[id];
    r.in_flow = false;
    if (r.tier >= 0) {
      r.tier = -1;
      spend(r, kSlotKv);
      advance(id);
    } else {
      transfer_done(id);
    }
  }
}

void Run::sample() {
  for (size_t k = 0; k < clients_.size(); ++k) {
    Client& c = clients_[k];
    if (!language(c.role)) continue;
    sync(c, now_ + 1);
    SampleRow row{now_, static_cast<int16_t>(k), static_cast<int32_t>(c.inbox.size() + c.incoming.size()), 0, 0, 0};
    for (const auto& engine : c.engines) {
      const EngineLoad load = engine->load();
      row.waiting += load.waiting;
      row.running += load.running;
      row.blocks_used += engine->pool().used();
    }
    row.power_w = 0;
    if (c.active) {
      BatchView view = c.views[0];
      if (c.merged > 1) view.decode_context = c.context;
      const Ns time = c.merged > 1 ? elapsed(c, 1) : c.end - c.start;
      row.power_w = step_power(spec_.groups[c.group], spec_.power, c.busy ? &view : nullptr, time);
    }
    result_.samples.push_back(row);
  }
}

Status Run::run() {
  const double cpu_start = cpu_seconds();
  RequestSpec next;
  more_arrivals_ = workload_->next(next);
  first_arrival_ = more_arrivals_ ? next.arrival : 0;
  area_time_ = token_time_ = first_arrival_;
  tokens_ = spec_.admission.burst;
  for (Client& c : clients_) c.last_change = c.active_since = first_arrival_;
  measured_from_ = first_arrival_;
  for (size_t g = 0; g < spec_.groups.size(); ++g) {
    if (spec_.groups[g].autoscale.on) {
      events_.push(first_arrival_ + spec_.groups[g].autoscale.period, EventType::kScale, static_cast<uint32_t>(g));
    }
  }
  for (Client& c : clients_) schedule_failure(c);
  if (spec_.sample_period > 0) events_.push(first_arrival_ + spec_.sample_period, EventType::kSample, 0);
  if (spec_.routing.snapshot > 0) events_.push(first_arrival_, EventType::kSnapshot, 0);
  const bool multi_class = result_.classes.size() > 1;
  if (!multi_class) result_.classes[0].name = "default";

  int64_t idle_timers = 0;
  while (more_arrivals_ || n_live_ > 0) {
    if (fabric_.next() != flow_event_) {
      flow_event_ = fabric_.next();
      ++flow_generation_;
      if (flow_event_ != kNever) events_.push(std::max(flow_event_, now_), EventType::kFlow, 0, flow_generation_);
    }
    if (more_arrivals_ && (events_.empty() || next.arrival <= events_.top().t)) {
      now_ = next.arrival;
      if (now_ > spec_.horizon) break;
      if (static_cast<int64_t>(next.serial) == spec_.workload.warmup) measured_from_ = now_;
      arrive(next);
      more_arrivals_ = workload_->next(next);
      if (!more_arrivals_) {
        result_.last_arrival_s = to_seconds(now_ - first_arrival_);
        result_.growth = static_cast<double>(n_live_) / static_cast<double>(std::max<int64_t>(result_.arrived, 1));
      }
      if ((result_.arrived & 1023) == 0 && interrupted()) return Status(StatusCode::kCancelled, "");
      if (spec_.queue_growth_limit > 0 && static_cast<double>(n_live_) > spec_.queue_growth_limit) {
        result_.stopped_early = true;
        break;
      }
      continue;
    }
    if (events_.empty()) break;
    const Event event = events_.top();
    events_.pop();
    if (event.t > spec_.horizon) break;
    now_ = event.t;
    ++result_.events;
    // Timers alone move nothing: when only they are left, the requests still inside can never finish.
    const bool timer = event.type == EventType::kSnapshot || event.type == EventType::kSample;
    idle_timers = timer && !more_arrivals_ ? idle_timers + 1 : 0;
    if (idle_timers > 100'000) break;
    switch (event.type) {
      case EventType::kStepEnd: {
        Client& c = clients_[event.id];
        if (event.generation == c.generation) step_end(c);
        break;
      }
      case EventType::kTimer: {
        Client& c = clients_[event.id];
        if (!language(c.role)) {
          station_start(c);
        } else {
          c.kick_pending = false;
          kick(c);
        }
        break;
      }
      case EventType::kStation:
        station_done(clients_[event.id], static_cast<int>(event.generation));
        break;
      case EventType::kFlow:
        if (event.generation == flow_generation_) {
          flow_event_ = kNever;
          flows();
        }
        break;
      case EventType::kRetry:
        if (live_[event.id].alive && live_[event.id].generation == event.generation) run_action(event.id);
        break;
      case EventType::kScale:
        scale(static_cast<int>(event.id));
        break;
      case EventType::kReady:
        activate(clients_[event.id], true);
        break;
      case EventType::kFailure:
        fail(clients_[event.id]);
        break;
      case EventType::kRepair:
        repair(clients_[event.id]);
        break;
      case EventType::kSnapshot:
        for (Client& c : clients_) {
          sync(c, now_);
          c.seen_inside = c.inside;
          c.seen_outstanding = c.outstanding;
          c.sent_requests = c.sent_tokens = 0;
        }
        events_.push(now_ + spec_.routing.snapshot, EventType::kSnapshot, 0);
        break;
      case EventType::kSample:
        sample();
        events_.push(now_ + spec_.sample_period, EventType::kSample, 0);
        break;
    }
    if ((result_.events & 0xFFFF) == 0 && interrupted()) return Status(StatusCode::kCancelled, "");
  }
  result_.unfinished = n_live_;
  if (n_live_ > 0 && spec_.per_request) {
    for (const Live& r : live_) {
      if (r.alive && r.parent == kNone) record(r, 3);
    }
  }
  result_.cpu_s = cpu_seconds() - cpu_start;
  return ok_status();
}

SimResult Run::take_result() {
  const Ns end = std::max(last_event_, now_ < kNever ? std::min(now_, last_event_ > 0 ? last_event_ : now_) : 0);
  result_.elapsed_s = to_seconds(end - first_arrival_);
  result_.measured_s = to_seconds(end - measured_from_);
  result_.peak_live = peak_live_;
  result_.inside_s = to_seconds(area_);
  result_.stay_s = to_seconds(stay_);
  for (size_t k = 0; k < clients_.size(); ++k) {
    Client& c = clients_[k];
    const GroupSpec& group = spec_.groups[c.group];
    ClientResult out;
    out.name = group.count > 1 ? fmt::format("{}.{}", group.name, c.index) : group.name;
    out.group = c.group;
    out.steps = c.steps;
    out.prefill_tokens = c.prefill_tokens;
    out.decode_tokens = c.decode_tokens;
    out.served = c.served;
    out.busy_s = to_seconds(c.busy_time);
    if (c.active) c.active_time += end - c.active_since;
    out.active_s = to_seconds(std::max<Ns>(c.active_time, 0));
    for (const auto& engine : c.engines) {
      out.preemptions += engine->preemptions();
      out.blocks += engine->pool().n_blocks();
    }
    out.peak_blocks = c.peak_blocks;
    out.mean_batch = c.busy_time > 0 ? c.batch_time / static_cast<double>(c.busy_time) : 0;
    out.inside_s = to_seconds(c.area);
    out.stay_s = to_seconds(c.stay);
    out.left = c.left;
    ClientWork work;
    work.steps = static_cast<double>(c.steps);
    work.tokens = static_cast<double>(c.prefill_tokens + c.decode_tokens);
    work.pairs = c.pairs2 / 2 + c.decode_context;
    work.decode_context = c.decode_context;
    work.busy_s = out.busy_s;
    work.active_s = out.active_s;
    out.energy_j = client_energy(group, spec_.power, work) * spec_.power.pue;
    out.cost_usd = out.active_s / 3600 * group.hardware.usd_per_hour * group.devices;
    result_.energy_j += out.energy_j;
    result_.cost_usd += out.cost_usd;
    result_.steps_done += c.steps;
    result_.clients.push_back(out);
    if (group.cost && c.index == 0) result_.extrapolated += group.cost->extrapolated();
  }
  result_.carbon_g = result_.energy_j / 3.6e6 * spec_.power.grams_per_kwh;
  for (size_t i = 0; i < spec_.links.size(); ++i) {
    LinkResult link;
    link.name = spec_.links[i].name;
    link.busy_s = fabric_.busy_s(link_of_[i]);
    link.gigabytes = fabric_.bytes(link_of_[i]) / 1e9;
    link.flow_s = fabric_.flow_seconds(link_of_[i]);
    result_.links.push_back(link);
  }
  for (size_t t = 0; t < spec_.tiers.size(); ++t) {
    TierResult out;
    out.name = spec_.tiers[t].name;
    for (size_t k = 0; k < clients_.size(); ++k) {
      const Tier& tier = tiers_[t * clients_.size() + k];
      out.lookups += tier.lookups;
      out.hits += tier.hits;
      out.tokens += tier.tokens;
      out.recomputed += tier.recomputed;
      if (tier.pool) {
        out.used_gb += static_cast<double>(tier.pool->cached()) * tier.pool->block_size() *
                       spec_.groups[clients_[k].group].kv_bytes_per_token / 1e9;
      }
    }
    result_.tiers.push_back(out);
  }
  return std::move(result_);
}

StatusOr<SimResult> simulate(const SimSpec& spec) {
  Run run(spec);
  CALLIE_RETURN_IF_ERROR(run.prepare());
  CALLIE_RETURN_IF_ERROR(run.run());
  return run.take_result();
}

}  // namespace callie::plan
