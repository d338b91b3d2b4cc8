#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/status.h"
#include "sched/block_pool.h"
#include "sched/waiting_queue.h"

namespace callie::sched {

inline constexpr double kNever = std::numeric_limits<double>::infinity();

struct SchedulerOptions {
  int32_t token_budget = 512;   ///< tokens that one step computes at most, over all sequences
  int32_t max_seqs = 64;        ///< sequences that run at the same time
  int32_t queue_limit = 1024;   ///< waiting requests; submit() refuses more
  int32_t max_chunk = 0;        ///< prompt tokens of one sequence in one step; 0 = as the budget allows
  int32_t max_draft = 16;       ///< draft tokens of one sequence in one step
  int32_t watermark = 0;        ///< blocks that an admission leaves free while others run
  double aging_s = 10.0;        ///< a waiting request gains one level of priority in this time
};

/// Names a submitted request until its slot is recycled (see Scheduler::finished).
struct Handle {
  int32_t slot = -1;
  uint32_t generation = 0;
  bool operator==(const Handle&) const = default;
};

/// What is asked of the scheduler. Give `prompt` tokens (the engine) or only their number and hashes (the planner).
struct Request {
  uint64_t id = 0;  ///< the caller's own name
  std::span<const int32_t> prompt;
  int32_t prompt_tokens = 0;                 ///< used when `prompt` is empty
  std::span<const BlockHash> block_hashes;   ///< of full blocks from the start, the output's too where known;
                                             ///< computed from `prompt` when empty
  BlockHash salt = 0;                        ///< prefixes are shared only between requests of equal salt
  int32_t max_new = 1;                       ///< tokens to generate at most; 0 = compute the prompt only
  int32_t priority = 0;                      ///< higher runs earlier
  double arrival_s = 0;
  double deadline_s = kNever;                ///< ends with FinishReason::kDeadline at the first plan() after it
  bool hold_after_step = false;              ///< held after every step that chooses tokens, until resume()
};

enum class FinishReason : uint8_t { kNone, kStop, kLength, kCancelled, kDeadline, kError };
enum class SequenceState : uint8_t { kUnused, kWaiting, kRunning, kFinished };

/// A request on its way. Read-only for callers.
struct Sequence {
  // What every step reads stands first.
  uint32_t generation = 0;
  SequenceState state = SequenceState::kUnused;
  FinishReason finish_reason = FinishReason::kNone;
  bool cancelled = false;      // while a step with this sequence is in flight
  bool hold_after_step = false;
  bool held = false;           // keeps its blocks as long as nobody needs them, and computes nothing
  int32_t prompt_tokens = 0;
  int32_t known_tokens = 0;    // prompt + generated
  int32_t computed_tokens = 0; // whose keys and values are in the cache; always a prefix
  int32_t max_new = 0;
  int32_t n_published = 0;     // leading blocks that are shared or were offered for sharing
  int32_t planned_row = -1;    // in the step in flight
  int32_t ready_tokens = 0;    // known tokens up to here have their place: a block of its own, not yet shared
  double first_token_s = -1;   // -1 = not yet
  uint64_t request_id = 0;
  std::vector<BlockId> blocks;       // cover the computed tokens and those of the step in flight
  std::vector<int32_t> draft;        // proposed for the next step
  std::vector<int32_t> tokens;       // prompt and generated; empty when the caller gave hashes only
  std::vector<BlockHash> hashes;     // of full blocks, as far as known
  int32_t priority = 0;
  int32_t cached_tokens = 0;   // found in the prefix cache at the first admission
  int32_t preemptions = 0;
  BlockHash salt = 0;
  WaitingKey key;
  double arrival_s = 0, deadline_s = kNever;
  double queued_s = 0;                       // submit()
  double scheduled_s = -1, finished_s = -1;  // -1 = not yet

  int32_t output_tokens() const { return known_tokens - prompt_tokens; }
};

enum class RowKind : uint8_t { kPrefill, kDecode, kVerify };

/// One sequence's share of a step: compute tokens [start, start + n_tokens), the last n_draft of which are drafts.
struct Row {
  Handle handle;
  RowKind kind = RowKind::kPrefill;
  int32_t start = 0;
  int32_t n_tokens = 0;
  int32_t n_draft = 0;
  bool samples = false;  ///< the row ends at the last known token: its logits choose new tokens
};

struct BlockCopy {
  BlockId from = kNoBlock, to = kNoBlock;
};

/// The next step, and what changed since the last one. Storage is reused by the next plan().
struct StepPlan {
  std::vector<Row> rows;           ///< decodes and verifications first
  std::vector<BlockCopy> copies;   ///< to be done before the step (copy-on-write)
  std::vector<Handle> admitted, preempted;
  int32_t n_tokens = 0;            ///< over all rows
  int32_t n_prefill = 0;           ///< prompt tokens (recomputed ones included)
  double prefill_work = 0;         ///< sum of n (c + n/2) over prefill rows of n tokens after c
  int32_t n_decode = 0;            ///< sequences
  int64_t ctx_decode = 0;          ///< sum of their contexts
  int32_t drafted = 0;             ///< draft tokens
};

/// What a row of the step gave, in the order of StepPlan::rows.
struct RowResult {
  int32_t n_new = 0;       ///< tokens chosen: 1 + accepted drafts; 0 for a row that does not sample
  const int32_t* tokens = nullptr;  ///< [n_new]; may be null when the request has no tokens
  FinishReason finish = FinishReason::kNone;  ///< the new tokens end the sequence
};

struct SchedulerStats {
  int64_t submitted = 0, finished = 0, preemptions = 0, prompt_tokens = 0, cached_tokens = 0;
  int64_t drafted = 0, accepted = 0;
};

/// Continuous batching: decides what the next step computes. Deterministic: a function of the calls made, with time as
/// an argument; no I/O, no threads, no allocation per step once its vectors have grown.
///
/// - Each sequence "catches up" from computed to known tokens; a prompt is computed in chunks beside the decodes of
///   others. Decodes and verifications come first, then prompts in progress, then admissions, within `token_budget`.
/// - Order: a waiting request is ranked by arrival - priority * aging_s, then submission. So a request of priority p is
///   overtaken only by requests that arrive within (q - p) * aging_s after it, q the highest priority in use.
/// - A prompt's blocks are reserved at its admission. When a decode finds no block, the lowest-ranked running sequence
///   is preempted: its blocks are released with their hashes, and it is computed again later from its known tokens.
///   The highest-ranked one always proceeds, so every request ends.
/// - A waiting request whose next prompt block is being computed by another one waits for it, and then shares it.
/// - A held sequence waits for its owner (a client that drafts). It is the first to be preempted, also for an admission,
///   and returns to the queue when it is resumed.
class Scheduler {
 public:
  /// The pool must outlive the scheduler; several schedulers must not share it.
  Scheduler(const SchedulerOptions& options, BlockPool* pool);

  /// Queues a request. kInvalidArgument: empty prompt or negative max_new; kResourceExhausted: the queue is full, or
  /// prompt + max_new never fit into the pool. Nothing changes on error.
  StatusOr<Handle> submit(const Request& request, double now);

  /// Ends a request. Takes effect at once, or at commit() when it is part of the step in flight. Unknown or finished
  /// handles are ignored.
  void cancel(Handle handle, FinishReason reason = FinishReason::kCancelled, double now = 0);

  /// Drafts for the next step of a running sequence; cut to max_draft, the budget, the free blocks and max_new. They
  /// last for one plan().
  void set_draft(Handle handle, std::span<const int32_t> tokens);

  /// Lets a held sequence compute its next step. Unknown handles and sequences that are not held are ignored.
  void resume(Handle handle);

  /// Decides the next step. Calls alternate with commit(), except that a plan without rows needs none.
  const StepPlan& plan(double now);

  /// Applies the results of the planned step at time `now`.
  void commit(std::span<const RowResult> results, double now);

  /// How many further steps would repeat the one in flight, each a token further, as long as no result ends a sequence:
  /// every running sequence decodes, nobody can be admitted, and no block is missing. 0 where that does not hold.
  int64_t repeatable_steps() const;
  /// Applies `n` <= repeatable_steps() of them, as if commit() (one token per row) and plan() had alternated `n` times;
  /// the step in flight is then the last of them. For requests that were submitted without tokens.
  void repeat_steps(int64_t n);

  /// A running copy of a running sequence between steps: it shares all blocks (copied on write). kResourceExhausted
  /// when max_seqs run already.
  StatusOr<Handle> fork(Handle handle, uint64_t request_id, double now);

  /// Forgets tokens from `length` on (1 <= length <= known tokens), between steps.
  Status truncate(Handle handle, int32_t length);

  /// Requests that ended since the last plan() began, in order. Their slots are recycled by the next plan(): read what
  /// is needed just before it.
  std::span<const Handle> finished() const { return finished_; }

  const Sequence& sequence(Handle handle) const { return slots_[handle.slot]; }
  bool alive(Handle handle) const;
  std::span<const int32_t> running() const { return running_; }  ///< slots, best rank first
  int32_t n_running() const { return static_cast<int32_t>(running_.size()); }
  int32_t n_waiting() const { return static_cast<int32_t>(waiting_.size()); }
  /// Nothing can run: there is no request, or all that there are were held and have lost their blocks.
  bool idle() const { return running_.empty() && waiting_.empty(); }
  const SchedulerOptions& options() const { return options_; }
  const SchedulerStats& stats() const { return stats_; }
  /// What the last plan() returned.
  const StepPlan& plan_in_flight() const { return plan_; }
  const BlockPool& pool() const { return *pool_; }

 private:
  int32_t new_slot();
  Handle handle_of(int32_t slot) const { return {slot, slots_[slot].generation}; }
  void expire(double now);
  void plan_generation();
  void plan_prompts();
  void plan_admissions(double now);
  enum class Admission { kAdmitted, kNoRoom, kDeferred };
  Admission try_admit(int32_t slot, double now);
  void add_row(int32_t slot, int32_t n_tokens, int32_t n_draft);
  /// Blocks for `length` tokens, the first written one private. May preempt sequences ranked below `rank`.
  bool ensure_blocks(size_t rank, int32_t length, bool may_preempt);
  bool make_writable(Sequence& sequence, int32_t index);
  void preempt(int32_t slot);
  /// Preempts the held sequence of the lowest rank at or below `rank`; false when there is none.
  bool preempt_held(size_t rank);
  void release_blocks(Sequence& sequence, int32_t keep);
  /// Offers the blocks that have become full for sharing.
  void publish(Sequence& s) {
    if (pool_->prefix_cache() && s.computed_tokens >= (s.n_published + 1) * pool_->block_size()) publish_full(s);
  }
  void publish_full(Sequence& sequence);
  void extend_hashes(Sequence& sequence);
  std::span<const int32_t> block_tokens(const Sequence& sequence, int32_t index) const;
  void finish(int32_t slot, FinishReason reason, double now);
  void insert_running(int32_t slot);

  SchedulerOptions options_;
  BlockPool* pool_;
  std::vector<Sequence> slots_;
  std::vector<int32_t> unused_;
  std::vector<int32_t> running_;  // by rank
  WaitingQueue waiting_;
  std::vector<int32_t> deferred_;
  std::vector<Handle> finished_;
  StepPlan plan_;
  SchedulerStats stats_;
  uint64_t next_order_ = 0;
  double next_deadline_ = kNever;
  int32_t blocked_slot_ = -1;  // the first in line did not fit when the pool had blocked_version_
  uint64_t blocked_version_ = 0;
  bool in_flight_ = false;
};

}  // namespace callie::sched
