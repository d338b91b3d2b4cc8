#include "decode/edge_cloud/simulation.h"

#include <algorithm>

namespace callie::edge_cloud {

/// The server's surroundings: its frames go to the links, its passes to the target one batch at a time.
struct Simulation::ServerNode : ServerSink, TargetPasses {
  Simulation* world = nullptr;
  ServerInfo info;
  ServerLimits limits;
  SyncTarget* target = nullptr;
  int max_batch = 1;
  uint64_t life = 0;  // counts restarts: events of an earlier server are void
  bool busy = false;
  std::deque<PassJob> waiting;
  std::vector<SessionId> known;

  void send(ConnectionId connection, std::string frame, uint32_t, bool) override {
    for (auto& node : world->clients_) {
      if (node->connection == connection) return world->transmit(*node, world->now_, std::move(frame), false);
    }
  }
  void hang_up(ConnectionId connection) override {
    // After the frames that are on their way.
    world->at(world->now_ + world->link_.one_way, [this, connection] {
      for (auto& node : world->clients_) {
        if (node->connection == connection) world->cut(*node);
      }
    });
  }
  Status open(SessionId session, const Open& request) override {
    known.push_back(session);
    return target->open(session, request);
  }
  void start(const PassRequest& r) override {
    waiting.push_back({r.session, r.pass, {r.committed.begin(), r.committed.end()}, {r.draft.begin(), r.draft.end()},
                       r.first_new, r.exits, world->now_, {}});
    world->at(world->now_, [w = world] { w->start_batch(); });
  }
  void evict(SessionId session) override { target->evict(session); }
  void close(SessionId session) override {
    std::erase(known, session);
    target->close(session);
  }
  int cache_length(SessionId session) const override { return target->cache_length(session); }
};

Simulation::Simulation(LinkModel link, uint64_t seed) : link_(link), rng_(seed, Purpose::kWorkload) {}
Simulation::~Simulation() = default;

void Simulation::at(TimeNs time, std::function<void()> what) { events_.push({time, order_++, std::move(what)}); }

bool Simulation::chance(double probability) { return probability > 0 && rng_.next_double() < probability; }

TimeNs Simulation::delay() {
  return link_.one_way + (link_.jitter ? static_cast<TimeNs>(rng_.next_below(link_.jitter)) : 0);
}

void Simulation::change_delay(TimeNs time, TimeNs one_way) {
  at(time, [this, one_way] { link_.one_way = one_way; });
}

ManualClock& Simulation::client_clock(int client) {
  while (static_cast<int>(clients_.size()) <= client) {
    clients_.push_back(std::make_unique<ClientNode>());
    clients_.back()->world = this;
    clients_.back()->index = static_cast<int>(clients_.size()) - 1;
  }
  return clients_[client]->clock;
}

void Simulation::add_server(ServerInfo info, ServerLimits limits, SyncTarget& target, int max_batch) {
  node_ = std::make_unique<ServerNode>();
  node_->world = this;
  node_->info = std::move(info);
  node_->limits = limits;
  node_->target = &target;
  node_->max_batch = max_batch;
  restart_server();
}

void Simulation::restart_server() {
  ++node_->life;
  node_->busy = false;
  node_->waiting.clear();
  for (SessionId session : node_->known) node_->target->close(session);
  node_->known.clear();
  const auto random = [this](size_t n) {
    std::string bytes(n, '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng_.next_u32());
    return bytes;
  };
  server_ = std::make_unique<Server>(node_->info, node_->limits, *node_, *node_, server_clock_, random);
  for (auto& node : clients_) {
    if (node->connection) cut(*node);
  }
}

int Simulation::add_client(Open request, ClientOptions options, DraftModel& draft, std::function<bool(TokenId)> ends,
                           TimeNs start) {
  int index = 0;
  while (index < static_cast<int>(clients_.size()) && clients_[index]->machine) ++index;
  client_clock(index);
  ClientNode& node = *clients_[index];
  node.machine = std::make_unique<Client>(std::move(request), options, draft, node, node.clock, std::move(ends));
  at(start, [this, &node] {
    node.clock.set(now_);
    node.machine->start();
    wake(node, now_);
  });
  return index;
}

// --- one client ---

void Simulation::ClientNode::connect() {
  const TimeNs begin = clock.now();
  const uint64_t mine = ++attempt;
  const bool fails = world->chance(world->link_.connect_failure);
  const TimeNs there = begin + world->delay();
  const TimeNs back = there + world->delay();
  if (fails) {
    return world->at(back, [this, mine] {
      if (mine != attempt) return;
      notices.push_back([this] { machine->on_disconnected("refused"); });
      world->wake(*this, world->now_);
    });
  }
  world->at(there, [this, mine] {
    if (mine != attempt) return;
    connection = world->next_connection_++;
    up_last = down_last = world->now_;
    world->server_->on_connect(connection, "client" + std::to_string(index));
  });
  world->at(back, [this, mine] {
    if (mine != attempt || !connection) return;
    notices.push_back([this] { machine->on_connected(); });
    world->wake(*this, world->now_);
  });
}

void Simulation::ClientNode::send(std::string frame) { world->transmit(*this, clock.now(), std::move(frame), true); }

void Simulation::ClientNode::close() {
  ++attempt;
  if (const ConnectionId gone = std::exchange(connection, 0)) {
    // What was sent before is delivered first.
    world->at(std::max(world->now_, up_last) + 1, [w = world, gone] { w->server_->on_disconnect(gone); });
  }
}

void Simulation::ClientNode::emit(std::span<const TokenId> tokens) {
  emitted.insert(emitted.end(), tokens.begin(), tokens.end());
}

void Simulation::wake(ClientNode& node, TimeNs time) {
  time = std::max(time, node.busy_until);
  if (time >= node.wake) return;
  node.wake = time;
  at(time, [this, &node, time] {
    if (node.wake != time) return;
    node.wake = kNever;
    run_client(node);
  });
}

void Simulation::run_client(ClientNode& node) {
  Client& machine = *node.machine;
  node.clock.set(now_);
  while (!node.notices.empty()) {
    auto notice = std::move(node.notices.front());
    node.notices.pop_front();
    notice();
  }
  while (!node.inbox.empty()) {
    auto [arrived, frame] = std::move(node.inbox.front());
    node.inbox.pop_front();
    machine.on_frame(frame, arrived);
  }
  if (machine.finished()) return;
  if (machine.next_timer() <= now_) machine.on_timer();
  if (machine.finished()) return;
  const bool worked = machine.work();
  node.busy_until = node.clock.now();
  if (worked) {
    wake(node, node.busy_until);
  } else if (machine.next_timer() != kNever) {
    wake(node, std::max(machine.next_timer(), now_));
  }
}

// --- the links ---

void Simulation::transmit(ClientNode& node, TimeNs time, std::string frame, bool up) {
  const ConnectionId connection = node.connection;
  if (!connection || chance(link_.drop)) return;
  const int copies = chance(link_.duplicate) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    TimeNs arrival = time + delay();
    if (chance(link_.stall)) arrival += link_.stall_time;
    TimeNs& last = up ? node.up_last : node.down_last;
    if (chance(link_.reorder)) {
      arrival += static_cast<TimeNs>(rng_.next_below(link_.reorder_time) + 1);
    } else {
      arrival = std::max(arrival, last);
      last = arrival;
    }
    at(arrival, [this, connection, client = node.index, frame, up] { deliver(connection, client, frame, up); });
  }
}

void Simulation::deliver(ConnectionId connection, int client, const std::string& frame, bool up) {
  ClientNode& node = *clients_[client];
  // What a client sent before it hung up still arrives; nothing comes down a closed connection.
  if (!up && node.connection != connection) return;
  ++delivered_;
  if (up) {
    server_->on_frame(connection, frame);
  } else {
    node.inbox.emplace_back(now_, frame);
    wake(node, now_);
  }
  if (delivered_ == restart_after_) {
    restart_server();
  } else if (delivered_ == cut_after_ || chance(link_.disconnect)) {
    for (auto& each : clients_) {
      if (each->connection) cut(*each);
    }
  }
}

void Simulation::cut(ClientNode& node) {
  ++node.attempt;
  if (const ConnectionId gone = std::exchange(node.connection, 0)) server_->on_disconnect(gone);
  node.inbox.clear();
  node.notices.push_back([&node] { node.machine->on_disconnected("connection lost"); });
  wake(node, now_);
}

// --- the target ---

void Simulation::start_batch() {
  ServerNode& s = *node_;
  if (s.busy || s.waiting.empty()) return;
  std::vector<PassJob> jobs;
  while (!s.waiting.empty() && static_cast<int>(jobs.size()) < s.max_batch) {
    jobs.push_back(std::move(s.waiting.front()));
    s.waiting.pop_front();
  }
  s.busy = true;
  const TimeNs begin = now_;
  for (PassJob& job : jobs) job.result.queue_us = static_cast<uint32_t>((begin - job.queued_at) / kMicrosecond);
  const uint64_t life = s.life;
  const TimeNs took = s.target->run(jobs, [&](const ExitReport& e) {
    at(begin + e.at, [this, e, life] {
      if (node_->life == life) server_->on_exit(e.pass, e.exit, e.outcome, e.confidence);
    });
  });
  server_busy_ += took;
  at(begin + took, [this, life, jobs = std::move(jobs)]() mutable {
    if (node_->life != life) return;
    node_->busy = false;
    for (PassJob& job : jobs) server_->on_pass_done(job.pass, std::move(job.result));
    start_batch();
  });
}

Status Simulation::run(TimeNs until) {
  int64_t steps = 0;
  while (!events_.empty()) {
    const bool all_done =
        std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->machine->finished(); });
    if (all_done) break;
    if (events_.top().at > until) return error(StatusCode::kCancelled, "clients still run at the end of the time");
    if (++steps > 50'000'000) return error(StatusCode::kInternal, "no end in sight");
    auto what = std::move(const_cast<Event&>(events_.top()).what);
    now_ = events_.top().at;
    events_.pop();
    server_clock_.set(now_);
    what();
    if (server_->next_timer() <= now_) server_->on_timer();
    if (check_always_) {
      std::string broken = server_->check_invariants();
      for (const auto& c : clients_) {
        if (broken.empty()) broken = c->machine->check_invariants();
      }
      if (!broken.empty()) return error(StatusCode::kInternal, "{}", broken);
    }
  }
  for (const auto& c : clients_) {
    if (!c->machine->finished()) {
      return error(StatusCode::kInternal, "client {} hangs: {}", c->index, c->machine->describe());
    }
    if (!c->machine->status().ok()) return c->machine->status();
  }
  return ok_status();
}

}  // namespace callie::edge_cloud
