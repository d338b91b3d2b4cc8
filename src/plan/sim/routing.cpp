#include <algorithm>

#include "plan/sim/run.h"

namespace callie::plan {

int64_t Run::requests(const Client& c) const {
  return spec_.routing.snapshot > 0 ? c.seen_inside + c.sent_requests : c.inside + c.incoming.size();
}

int64_t Run::waiting_tokens(const Client& c) const {
  return spec_.routing.snapshot > 0 ? c.seen_outstanding + c.sent_tokens : c.outstanding;
}

int Run::route(Role wanted, const Live& r) {
  auto& candidates = scratch_clients_;
  candidates.clear();
  const auto add = [&](Role role) {
    for (const int k : by_role_[static_cast<int>(role)]) {
      if (clients_[k].up && clients_[k].active) candidates.push_back(k);
    }
  };
  add(wanted);
  if (wanted == Role::kPrefill) add(Role::kBoth);
  if (candidates.empty()) return -1;
  if (candidates.size() == 1) return candidates[0];
  if (spec_.routing.kind != RouterKind::kRoundRobin && spec_.routing.kind != RouterKind::kRandom) {
    for (const int k : candidates) sync(clients_[k], now_);
  }
  return pick(candidates, r);
}

int Run::pick(const std::vector<int>& clients, const Live& r) {
  const auto best = [&](auto score) {
    int chosen = clients[0];
    auto least = score(clients_[chosen]);
    for (size_t i = 1; i < clients.size(); ++i) {
      const auto s = score(clients_[clients[i]]);
      if (s < least) {
        least = s;
        chosen = clients[i];
      }
    }
    return chosen;
  };
  const size_t n = clients.size();
  switch (spec_.routing.kind) {
    case RouterKind::kRoundRobin: {
      int& turn = round_robin_[static_cast<int>(clients_[clients[0]].role)];
      turn = static_cast<int>((turn + 1) % n);
      return clients[(turn + n - 1) % n];
    }
    case RouterKind::kRandom:
      return clients[std::min(n - 1, static_cast<size_t>(uniform(r.serial, 2000 + r.stage) * static_cast<double>(n)))];
    case RouterKind::kLeastWork:
      return best([&](const Client& c) { return waiting_tokens(c); });
    case RouterKind::kLeastRequests:
      return best([&](const Client& c) { return requests(c); });
    case RouterKind::kPowerOfTwo: {
      const auto a = static_cast<size_t>(uniform(r.serial, 2000 + r.stage) * static_cast<double>(n));
      auto b = static_cast<size_t>(uniform(r.serial, 3000 + r.stage) * static_cast<double>(n - 1));
      if (b >= a) ++b;
      const int first = clients[std::min(a, n - 1)], second = clients[std::min(b, n - 1)];
      return requests(clients_[second]) < requests(clients_[first]) ? second : first;
    }
    case RouterKind::kPrefixQueue:
      return best([&](const Client& c) {
        int32_t hit = 0;
        for (const auto& engine : c.engines) hit = std::max(hit, engine->cached_prefix(r.hashes));
        return static_cast<double>(waiting_tokens(c)) - spec_.routing.prefix_weight * hit;
      });
    case RouterKind::kLeastKv:
      return best([&](const Client& c) {
        int64_t used = 0;
        for (const auto& engine : c.engines) used += engine->pool().used();
        return used;
      });
  }
  return clients[0];
}

/// Looks the prompt up in the client's tiers and starts the transfer of what is worth fetching. True when one started.
bool Run::fetch_kv(int client, uint32_t id) {
  Client& c = clients_[client];
  Live& r = live_[id];
  const GroupSpec& g = spec_.groups[c.group];
  const int32_t block = g.engine.block_size;
  int32_t near = 0;
  for (const auto& engine : c.engines) near = std::max(near, engine->cached_prefix(r.hashes));
  int32_t best_tokens = near;
  int best = -1;
  for (size_t i = 0; i < g.tiers.size(); ++i) {
    const TierSpec& spec = spec_.tiers[g.tiers[i]];
    Tier& tier = tiers_[g.tiers[i] * clients_.size() + (spec.shared ? 0 : client)];
    if (!tier.pool) tier.pool = nullptr;
    ++tier.lookups;
    int32_t tokens = 0;
    if (!r.hashes.empty() && tier.pool) {
      for (const sched::BlockHash hash : r.hashes) {
        const auto found = tier.pool->find(hash);
        if (found.presence != sched::BlockPool::Presence::kReady) break;
        tokens += block;
        tier.pool->retain(found.id);  // used now: given up last
        tier.pool->release(found.id);
      }
    } else if (spec.hit_rate >= 0 && uniform(r.serial, 4000 + static_cast<uint32_t>(i)) < spec.hit_rate) {
      tokens = r.prompt / block * block;
    }
    tokens = std::min(tokens, (r.prompt - 1) / block * block);
    if (tokens <= best_tokens) continue;
    // Worth it when it is faster than computing the same tokens.
    const double fetch_ns = static_cast<double>(spec.latency) + (tokens - near) * g.kv_bytes_per_token / spec.gbs;
    BatchView view;
    const int32_t chunk = std::min(tokens - near, g.engine.token_budget);
    view.add_prefill(chunk, near + (tokens - near - chunk) / 2);
    view.samples = 1;
    const double compute_ns =
        static_cast<double>(g.cost->step_ns(view)) * static_cast<double>(tokens - near) / std::max(chunk, 1);
    if (fetch_ns >= compute_ns) {
      ++tier.recomputed;
      continue;
    }
    ++tier.hits;
    tier.tokens += tokens;
    best = g.tiers[i];
    best_tokens = tokens;
    break;  // the nearest tier that pays
  }
  if (best < 0) return false;
  r.loaded = best_tokens;
  r.tier = static_cast<int16_t>(best);
  r.action = Action::kStartFetch;
  events_.push(now_ + spec_.tiers[best].latency, EventType::kRetry, id, r.generation);
  return true;
}

/// A computed prompt is written through to the tiers of its client.
void Run::store_kv(Client& c, const Live& r) {
  const GroupSpec& g = spec_.groups[c.group];
  if (g.tiers.empty() || r.hashes.empty()) return;
  const auto client = static_cast<size_t>(&c - clients_.data());
  for (const int t : g.tiers) {
    sched::BlockPool& pool = *tiers_[t * clients_.size() + (spec_.tiers[t].shared ? 0 : client)].pool;
    for (const sched::BlockHash hash : r.hashes) {
      if (pool.find(hash).presence == sched::BlockPool::Presence::kReady) continue;
      const sched::BlockId block = pool.allocate();
      pool.publish(block, hash);
      pool.release(block);
    }
  }
}

}  // namespace callie::plan
