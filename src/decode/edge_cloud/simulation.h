#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "core/philox.h"
#include "decode/edge_cloud/client.h"
#include "decode/edge_cloud/server.h"
#include "decode/edge_cloud/sync_target.h"

namespace callie::edge_cloud {

/// A network of the virtual clock. Probabilities are per frame; TCP has none of them but stalls and disconnects.
struct LinkModel {
  TimeNs one_way = 10 * kMillisecond;
  TimeNs jitter = 0;  ///< uniform extra delay, order kept
  double drop = 0, duplicate = 0, reorder = 0, stall = 0, disconnect = 0;
  TimeNs stall_time = 200 * kMillisecond;
  TimeNs reorder_time = 20 * kMillisecond;
  double connect_failure = 0;
};

/// A clock that stands where it is put.
class ManualClock : public Clock {
 public:
  TimeNs now() const override { return now_; }
  void set(TimeNs now) { now_ = now; }
  void advance(TimeNs by) { now_ += by; }

 private:
  TimeNs now_ = 0;
};

/// Lets a draft model's steps pass time on a manual clock: `cost(n)` of n tokens, or the measured time of the call.
class TimedDraft : public DraftModel {
 public:
  TimedDraft(DraftModel& model, ManualClock& clock, std::function<TimeNs(int)> cost)
      : model_(model), clock_(clock), cost_(std::move(cost)) {}
  int length() const override { return model_.length(); }
  void truncate(int length) override { model_.truncate(length); }
  Guess extend(std::span<const TokenId> tokens) override {
    const Guess guess = model_.extend(tokens);
    clock_.advance(cost_(static_cast<int>(tokens.size())));
    return guess;
  }

 private:
  DraftModel& model_;
  ManualClock& clock_;
  std::function<TimeNs(int)> cost_;
};

/// Clients, one server and the links between them on one virtual clock: an exact algebra of delays, the same for the
/// same seed. The state machines are the real ones, frames are encoded and decoded, nothing sleeps.
class Simulation {
 public:
  Simulation(LinkModel link, uint64_t seed);
  ~Simulation();

  /// The server. `max_batch` passes share one run of the target.
  void add_server(ServerInfo info, ServerLimits limits, SyncTarget& target, int max_batch = 8);
  /// Adds a client that starts at `start`. Its draft must pass time on client_clock(index), index counting from 0.
  /// Returns its index.
  int add_client(Open request, ClientOptions options, DraftModel& draft, std::function<bool(TokenId)> ends,
                 TimeNs start = 0);
  ManualClock& client_clock(int client);

  /// Runs until every client has finished, or `until`. Returns what went wrong: an invariant, or clients that hang.
  Status run(TimeNs until = kNever);
  /// Cuts every connection after the n-th frame that is delivered (either way), counted from 1; 0 never.
  void cut_after(int64_t frame) { cut_after_ = frame; }
  /// Replaces the server by a new one that remembers nothing, after the n-th delivered frame.
  void restart_after(int64_t frame) { restart_after_ = frame; }
  /// Changes the one-way delay from `at` on.
  void change_delay(TimeNs at, TimeNs one_way);
  /// Checks all invariants after every event.
  void check_always(bool on) { check_always_ = on; }

  TimeNs now() const { return now_; }
  const Client& client(int i) const { return *clients_[i]->machine; }
  Client& client(int i) { return *clients_[i]->machine; }
  const std::vector<TokenId>& emitted(int i) const { return clients_[i]->emitted; }
  const Server& server() const { return *server_; }
  int64_t frames() const { return delivered_; }
  TimeNs server_busy() const { return server_busy_; }

 private:
  struct Event {
    TimeNs at;
    uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  struct ClientNode : ClientSink {
    Simulation* world = nullptr;
    int index = 0;
    ManualClock clock;
    std::unique_ptr<Client> machine;
    ConnectionId connection = 0;
    uint64_t attempt = 0;
    TimeNs busy_until = 0;
    TimeNs wake = kNever;
    std::deque<std::pair<TimeNs, std::string>> inbox;
    std::deque<std::function<void()>> notices;
    std::vector<TokenId> emitted;
    TimeNs up_last = 0, down_last = 0;
    void connect() override;
    void send(std::string frame) override;
    void close() override;
    void emit(std::span<const TokenId> tokens) override;
  };
  struct ServerNode;

  void at(TimeNs time, std::function<void()> what);
  void wake(ClientNode& node, TimeNs time);
  void run_client(ClientNode& node);
  void transmit(ClientNode& node, TimeNs time, std::string frame, bool up);
  void deliver(ConnectionId connection, int client, const std::string& frame, bool up);
  void cut(ClientNode& node);
  void start_batch();
  void restart_server();
  bool chance(double probability);
  TimeNs delay();

  LinkModel link_;
  SequentialRng rng_;
  TimeNs now_ = 0;
  uint64_t order_ = 0;
  std::priority_queue<Event> events_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
  std::unique_ptr<ServerNode> node_;
  std::unique_ptr<Server> server_;
  ManualClock server_clock_;
  ConnectionId next_connection_ = 1;
  int64_t delivered_ = 0, cut_after_ = 0, restart_after_ = 0;
  TimeNs server_busy_ = 0;
  bool check_always_ = false;
};

}  // namespace callie::edge_cloud
