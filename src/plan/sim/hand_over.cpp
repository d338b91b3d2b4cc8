// From prefill to decode clients: blocks are reserved, then the KV cache goes over a link.

#include <algorithm>

#include "plan/sim/run.h"

namespace callie::plan {

void Run::hand_over(Client& c, uint32_t id) {
  Live& r = live_[id];
  int d = -1;
  if (spec_.routing.local_pairs) {
    const auto& decoders = by_role_[static_cast<int>(Role::kDecode)];
    d = decoders[c.index % decoders.size()];
    if (!clients_[d].up) d = -1;
  } else {
    d = route(Role::kDecode, r);
  }
  if (d < 0) {
    for (auto& engine : c.engines) engine->release(id);
    retire(c, id);
    retry_or_fail(id);
    want_kick(c);
    return;
  }
  r.decode_client = static_cast<int16_t>(d);
  Client& decode = clients_[d];
  ++decode.sent_requests;
  decode.incoming.push_back(id);
  sync(decode, now_);
  try_reserve(decode);
}

/// Decode side: blocks for the whole prompt before the transfer starts; requests wait in order, and their blocks stay
/// on the prefill side (back-pressure).
void Run::try_reserve(Client& d) {
  while (!d.incoming.empty()) {
    const uint32_t id = d.incoming.front();
    Live& r = live_[id];
    EngineRequest request = engine_request(r, id);
    request.output = r.output - 1;
    size_t best = 0;
    for (size_t e = 1; e < d.engines.size(); ++e) {
      if (d.engines[e]->pool().available() > d.engines[best]->pool().available()) best = e;
    }
    if (!d.engines[best]->can_reserve(request)) {
      d.incoming.pop_front();
      Client& p = clients_[r.client];
      for (auto& engine : p.engines) engine->release(id);
      retire(p, id);
      reject(id, false);
      want_kick(p);  // its blocks are free again
      continue;
    }
    if (!d.engines[best]->reserve(request, now_)) return;
    if (d.busy) interrupt(d);  // blocks are scarcer than the merged steps assumed
    d.incoming.pop_front();
    d.outstanding += r.output;
    // The latency first, then the bytes.
    const Client& p = clients_[r.client];
    Ns latency = 0;
    for (size_t i = 0; i < spec_.links.size(); ++i) {
      if (spec_.links[i].from == p.group && spec_.links[i].to == d.group) latency = spec_.links[i].latency;
    }
    r.action = Action::kStartTransfer;
    events_.push(now_ + latency, EventType::kRetry, id, r.generation);
  }
}

void Run::start_transfer(uint32_t id) {
  Live& r = live_[id];
  const Client& p = clients_[r.client];
  const Client& d = clients_[r.decode_client];
  const GroupSpec& g = spec_.groups[p.group];
  double bytes = r.prompt * g.kv_bytes_per_token;
  for (size_t i = 0; i < spec_.links.size(); ++i) {
    const LinkSpec& link = spec_.links[i];
    if (link.from != p.group || link.to != d.group) continue;
    if (link.overlap) {
      // Layer by layer beside the computation: the last layer is exposed, and what the link could not move meanwhile.
      const double layers = std::max(g.model.layers, 1);
      const double computed = static_cast<double>(r.first - r.scheduled) * link.gbs;
      bytes = bytes / layers + std::max(0.0, (layers - 1) / layers * (bytes - computed));
    }
    r.in_flow = true;
    fabric_.start(now_, bytes, link_of_[i], -1, id);
    return;
  }
  transfer_done(id);
}

void Run::transfer_done(uint32_t id) {
  Live& r = live_[id];
  Client& p = clients_[r.client];
  Client& d = clients_[r.decode_client];
  for (auto& engine : p.engines) engine->release(id);
  retire(p, id);
  spend(r, kSlotTransfer);
  r.client = r.decode_client;
  enter(d, r);
  for (auto& engine : d.engines) engine->start(id);
  want_kick(p);
  want_kick(d);
}

}  // namespace callie::plan
