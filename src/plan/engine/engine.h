#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "plan/cost/batch_view.h"
#include "plan/types.h"
#include "sched/block_pool.h"

namespace callie::plan {

/// How an engine batches. One struct for every policy; a policy reads what it documents.
struct EngineOptions {
  std::string policy = "vllm1";
  int32_t token_budget = 2048;  ///< tokens of one step
  int32_t max_seqs = 256;       ///< sequences that run at the same time
  int32_t max_chunk = 0;        ///< prompt tokens of one sequence in one step; 0 = the budget
  int32_t prefill_quota = 0;    ///< mixed: prompt tokens of one step; 0 = half the budget
  int32_t max_context = 0;      ///< longest prompt + output; 0 = no limit
  bool async = false;           ///< vllm1: the next step is planned while one runs
  bool reserve_prompt = false;  ///< vllm1: admit only when the whole prompt finds blocks
  bool swap = false;            ///< preempted KV moves to host memory instead of being recomputed
  double watermark = 0;         ///< share of the blocks that an admission leaves free
  Ns batch_timeout = 0;         ///< static: wait this long for a full batch
  enum class Order : uint8_t { kFcfs, kPriority, kShortest, kLeastWork, kDeadline } order = Order::kFcfs;
  int32_t draft_tokens = 0;     ///< speculative decoding: drafts verified per sequence and step
  double draft_acceptance = 0;  ///< probability that one more draft token is accepted
  double aging_s = 10;          ///< callie: priority levels gained while waiting
  uint64_t seed = 0;
  int32_t window = 0;           ///< the model's sliding window, for the batch's sums
  int32_t blocks = 0;
  int32_t block_size = 16;
  bool prefix_cache = true;
};

struct EngineRequest {
  uint32_t id = 0;           ///< the coordinator's slot
  uint64_t serial = 0;       ///< unique over the run; seeds randomness and unique block hashes
  int32_t prompt = 0;
  int32_t output = 1;        ///< tokens it will produce here; no decision reads it before they exist
  int32_t max_tokens = 1;    ///< what the user allowed; what ordering and reservations may read
  int32_t priority = 0;
  Ns arrival = 0;
  Ns deadline = kNever;
  int32_t loaded = 0;        ///< leading tokens whose KV was fetched for it
  bool hold = false;         ///< keep the blocks when done, until release()
  bool computed = false;     ///< the prompt's KV arrived from elsewhere: reserve() then start()
  std::span<const sched::BlockHash> hashes;  ///< of full prompt blocks; empty: shared with nobody
};

struct EngineEvent {
  enum class Kind : uint8_t { kAdmitted, kFirstToken, kFinished } kind;
  uint32_t id;
  int32_t cached;  ///< kAdmitted: prompt tokens found in the prefix cache
};

/// What a router may know of an engine.
struct EngineLoad {
  int32_t waiting = 0;
  int32_t running = 0;
  int64_t waiting_tokens = 0;   ///< prompt tokens not yet computed
  int64_t kv_tokens = 0;        ///< blocks in use, in tokens
  int64_t promised_tokens = 0;  ///< prompt left + max_tokens left
};

/// One scheduler with its block pool: decides what each step computes. Deterministic; no allocation per step after its
/// vectors have grown. plan() and commit() alternate, except that an asynchronous engine has two plans in flight.
class Engine {
 public:
  virtual ~Engine() = default;

  /// Queues a request. Errors: kResourceExhausted when it can never run here.
  virtual Status submit(const EngineRequest& request, Ns now) = 0;
  /// Decides the next step; false when there is nothing to compute now. `wake` is lowered to the time at which a plan
  /// may succeed without any new request.
  virtual bool plan(Ns now, BatchView& view, Ns& wake) = 0;
  /// Ends the oldest step in flight.
  virtual void commit(Ns now) = 0;
  /// What happened since the events were last cleared.
  std::vector<EngineEvent>& events() { return events_; }

  /// How many further steps would repeat the planned one, each a token further, before any sequence ends, is admitted
  /// or lacks a block. 0 when the policy cannot tell.
  virtual int64_t repeats() const { return 0; }
  /// Applies `n` <= repeats() of them: as if commit() and plan() had alternated n times.
  virtual void repeat(int64_t n) { (void)n; }

  /// Decode side of disaggregation: blocks for a prompt whose KV will arrive. False when there is no room now.
  virtual bool reserve(const EngineRequest& request, Ns now) {
    (void)request;
    (void)now;
    return false;
  }
  /// Whether reserve() can ever succeed and the request then end: an empty machine has the blocks.
  virtual bool can_reserve(const EngineRequest& request) const {
    (void)request;
    return false;
  }
  /// The reserved request's KV is here.
  virtual void start(uint32_t id) { (void)id; }
  /// Frees what a finished `hold` request kept, or drops a reserved one.
  virtual void release(uint32_t id) { (void)id; }
  /// One more sequence that continues the running `id` on shared blocks. False when the policy has no forks.
  virtual bool fork(uint32_t id, const EngineRequest& branch, Ns now) {
    (void)id;
    (void)branch;
    (void)now;
    return false;
  }
  /// Ends a request at once (between steps) without an event.
  virtual void cancel(uint32_t id, Ns now) = 0;
  /// Drops everything and appends the ids of all requests to `ids`: the machine failed.
  virtual void drain(std::vector<uint32_t>& ids, Ns now) = 0;

  virtual EngineLoad load() const = 0;
  virtual bool idle() const = 0;
  virtual const sched::BlockPool& pool() const = 0;
  virtual int64_t preemptions() const = 0;
  /// Leading prompt tokens that the prefix cache holds right now.
  virtual int32_t cached_prefix(std::span<const sched::BlockHash> hashes) const = 0;

 protected:
  std::vector<EngineEvent> events_;
};

/// Errors: kInvalidArgument (unknown policy, impossible option).
StatusOr<std::unique_ptr<Engine>> make_engine(const EngineOptions& options);
std::vector<std::string> policy_names();

}  // namespace callie::plan
