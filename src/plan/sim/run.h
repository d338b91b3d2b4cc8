#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/philox.h"
#include "plan/engine/ring.h"
#include "plan/sim/event_queue.h"
#include "plan/sim/fabric.h"
#include "plan/sim/result.h"
#include "plan/sim/spec.h"
#include "sched/block_pool.h"

namespace callie::plan {

/// Whether clients of this role run a language model.
inline bool language(Role role) { return role == Role::kBoth || role == Role::kPrefill || role == Role::kDecode; }

/// One simulation in progress: the coordinator with its clients. Split over setup.cpp, run.cpp (loop, stages, results),
/// llm.cpp (engine steps), branches.cpp, hand_over.cpp, stations.cpp, routing.cpp and lifecycle.cpp (scaling, failure).
class Run {
 public:
  explicit Run(const SimSpec& spec) : spec_(spec), rng_(spec.workload.seed, Purpose::kWorkload, 101) {}

  Status prepare();
  Status run();
  SimResult take_result();

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  enum StageSlot { kSlotPre, kSlotRag, kSlotKv, kSlotQueue, kSlotPrefill, kSlotTransfer, kSlotDecode, kSlotPost };
  enum class Action : uint8_t { kNone, kStage, kStartTransfer, kStartFetch };

  /// A request in the system.
  struct Live {
    uint64_t serial = 0;
    Ns arrival = 0, queued = -1, scheduled = -1, first = -1, last = -1, entered = 0, client_entered = 0;
    int32_t prompt = 0, output = 0, max_tokens = 0, cached = 0, loaded = 0, preemptions = 0;
    int16_t klass = 0, priority = 0, client = -1, decode_client = -1;
    int16_t stage = 0, retries = 0;
    int32_t paths = 1, join = 0, branches = 0, joined = 0;
    uint32_t parent = kNone, generation = 0;
    uint32_t first_branch = kNone, next_branch = kNone;
    int16_t tier = -1;
    Action action = Action::kNone;
    bool alive = false, in_flow = false, held = false;
    std::span<const sched::BlockHash> hashes;
    float stage_ms[8] = {};
  };

  struct Client {
    int group = 0, index = 0;
    Role role = Role::kBoth;
    bool up = true, active = true, pending_start = false;
    uint32_t failures = 0;
    // Language-model clients.
    std::vector<std::unique_ptr<Engine>> engines;
    std::vector<BatchView> views, next_views;
    std::vector<uint8_t> planned, next_planned;  // which engines have a plan in flight
    bool busy = false, has_next = false, kick_pending = false;
    uint32_t generation = 0;
    Ns start = 0;
    int64_t merged = 1;  // steps up to the end event
    int64_t repeats = 0, behind = 0;  // steps that need no new plan; those of them that the engine has not applied yet
    AffineStep affine;
    int32_t batch = 0;
    int64_t context = 0;
    Ns host = 0, end = 0;
    int32_t admitted = 0;  // since the last step was charged
    std::vector<uint32_t> inbox;
    Ring<uint32_t> incoming;  // disaggregation: waiting for blocks here
    // Stations.
    Ring<uint32_t> queue;
    std::vector<std::vector<uint32_t>> servers;
    std::vector<Ns> ends;  // of each server's batch; kNever: idle
    // What routers read.
    int64_t inside = 0, outstanding = 0;
    int64_t seen_inside = 0, seen_outstanding = 0, sent_requests = 0, sent_tokens = 0;
    // Totals.
    int64_t steps = 0, prefill_tokens = 0, decode_tokens = 0, served = 0;
    double pairs2 = 0, decode_context = 0, batch_time = 0;
    Ns busy_time = 0, active_since = 0, active_time = 0, last_change = 0;
    int64_t area = 0, stay = 0, left = 0;  // ns: Little's law
    int32_t peak_blocks = 0;
    std::vector<int> tier_links;  // fabric links by tier of the group
  };

  struct Tier {
    std::unique_ptr<sched::BlockPool> pool;
    int64_t lookups = 0, hits = 0, tokens = 0, recomputed = 0;
  };

  // run.cpp
  Status check() const;
  void arrive(const RequestSpec& request);
  void advance(uint32_t id);
  void complete(uint32_t id);
  void reject(uint32_t id, bool failed);
  void record(const Live& r, uint8_t outcome);
  uint32_t new_live();
  void free_live(uint32_t id);
  void enter(Client& c, Live& r);
  void leave(Client& c, Live& r);
  void spend(Live& r, StageSlot slot);
  void run_action(uint32_t id);
  void sample();
  void flows();
  double uniform(uint64_t serial, uint32_t purpose) const;

  // llm.cpp
  void submit(int client, uint32_t id);
  void want_kick(Client& c);
  void kick(Client& c);
  bool plan(Client& c, std::vector<BatchView>& views, std::vector<uint8_t>& planned);
  void begin_step(Client& c);
  Ns duration(Client& c, const std::vector<BatchView>& views, const std::vector<uint8_t>& planned);
  void step_end(Client& c);
  void engine_events(Client& c, Engine& engine);
  void llm_finished(Client& c, uint32_t id);
  void sync(Client& c, Ns now);
  void interrupt(Client& c);
  void settle(Client& c);
  Ns elapsed(const Client& c, int64_t steps) const;
  void count_steps(Client& c, int64_t steps, Ns time);
  EngineRequest engine_request(const Live& r, uint32_t id) const;
  void retire(Client& c, uint32_t id);

  // branches.cpp
  void first_token(Client& c, uint32_t id);
  void branch_finished(uint32_t id);

  // hand_over.cpp
  void hand_over(Client& c, uint32_t id);
  void try_reserve(Client& d);
  void start_transfer(uint32_t id);
  void transfer_done(uint32_t id);

  // stations.cpp
  void station_push(Client& c, uint32_t id);
  void station_start(Client& c);
  void station_done(Client& c, int server);

  // routing.cpp
  int route(Role wanted, const Live& r);
  int pick(const std::vector<int>& clients, const Live& r);
  int64_t waiting_tokens(const Client& c) const;
  int64_t requests(const Client& c) const;
  bool fetch_kv(int client, uint32_t id);
  void store_kv(Client& c, const Live& r);

  // lifecycle.cpp
  void scale(int group);
  void fail(Client& c);
  void repair(Client& c);
  void activate(Client& c, bool on);
  void schedule_failure(Client& c);
  void retry_or_fail(uint32_t id);

  const SimSpec& spec_;
  CounterRng rng_;
  std::optional<Workload> workload_;
  EventQueue events_;
  Fabric fabric_;
  std::vector<Client> clients_;
  std::vector<std::vector<int>> by_role_;     // clients by Role
  std::vector<int> round_robin_;              // by role
  std::vector<Tier> tiers_;                   // [tier] or [tier * clients + client]
  std::vector<int> link_of_;                  // fabric link by LinkSpec
  std::vector<Live> live_;
  std::vector<uint32_t> unused_;
  std::vector<uint64_t> done_flows_;
  std::vector<uint32_t> scratch_ids_;
  std::vector<int> scratch_clients_;
  Ns now_ = 0, first_arrival_ = 0, last_event_ = 0, measured_from_ = 0, flow_event_ = kNever;
  uint32_t flow_generation_ = 0;
  int64_t n_live_ = 0, peak_live_ = 0;
  double tokens_ = 0;
  Ns token_time_ = 0;
  bool more_arrivals_ = true;
  int64_t area_ = 0, stay_ = 0;
  Ns area_time_ = 0;
  SimResult result_;
};

}  // namespace callie::plan
