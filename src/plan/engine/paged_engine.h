#pragma once

#include "core/philox.h"
#include "plan/engine/engine.h"
#include "plan/engine/ring.h"

namespace callie::plan {

/// A request inside an engine. What every step reads stands first, in one cache line.
struct EngineSequence {
  enum class State : uint8_t { kUnused, kWaiting, kRunning, kHeld, kReserved, kReady } state = State::kUnused;
  bool hold = false;
  bool swapped = false;
  bool admitted_once = false;
  bool shares = false;    ///< its prompt has hashes that others may know
  int32_t prompt = 0;
  int32_t target = 0;     ///< output tokens to produce
  int32_t computed = 0;   ///< tokens in the cache, the steps in flight included
  int32_t generated = 0;  ///< output tokens, the steps in flight included
  int32_t emitted = 0;    ///< output tokens of finished steps
  int32_t in_flight = 0;  ///< steps in flight that compute it
  int32_t capacity = 0;   ///< tokens that its blocks hold
  uint32_t id = 0;
  int32_t published = 0;  ///< leading blocks that are findable
  int32_t max_tokens = 0;
  int32_t priority = 0;
  int32_t loaded = 0;
  uint64_t serial = 0;
  uint64_t prompt_serial = 0;  ///< whose prompt this is: branches share their parent's
  Ns arrival = 0;
  Ns deadline = kNever;
  double rank = 0;  ///< waiting order under Order != kFcfs; smaller first
  std::span<const sched::BlockHash> hashes;
  std::vector<sched::BlockId> blocks;

  int32_t known() const { return prompt + generated; }
};

/// What the iteration-level policies share: sequences, waiting and running order, blocks, preemption, commit. A policy
/// derives and writes plan_rows().
class PagedEngine : public Engine {
 public:
  explicit PagedEngine(const EngineOptions& options);

  Status submit(const EngineRequest& request, Ns now) override;
  bool plan(Ns now, BatchView& view, Ns& wake) override;
  void commit(Ns now) override;
  int64_t repeats() const override;
  void repeat(int64_t n) override;
  bool reserve(const EngineRequest& request, Ns now) override;
  bool can_reserve(const EngineRequest& request) const override;
  void start(uint32_t id) override;
  void release(uint32_t id) override;
  bool fork(uint32_t id, const EngineRequest& branch, Ns now) override;
  void cancel(uint32_t id, Ns now) override;
  void drain(std::vector<uint32_t>& ids, Ns now) override;
  EngineLoad load() const override;
  bool idle() const override { return running_.empty() && waiting_.empty() && ready_.empty(); }
  const sched::BlockPool& pool() const override { return pool_; }
  int64_t preemptions() const override { return preemptions_; }
  int32_t cached_prefix(std::span<const sched::BlockHash> hashes) const override;

 protected:
  using State = EngineSequence::State;
  struct Row {
    int32_t slot;
    int32_t n;
    bool samples;
    bool decode;
  };

  /// Appends the rows of the next step.
  virtual void plan_rows(Ns now, Ns& wake) = 0;
  /// Tokens that a request must find room for to be accepted at all.
  virtual int64_t worst_tokens(const EngineRequest& request) const { return request.prompt + request.output; }
  /// Tokens that reserve() finds room for at once.
  virtual int64_t reserved_tokens(const EngineRequest& request) const { return request.prompt + 1; }
  virtual bool repeatable() const { return true; }

  EngineSequence& seq(int32_t slot) { return slots_[slot]; }
  /// Blocks for `tokens` tokens of a sequence; false (and nothing changed) when they are not available.
  bool grow(EngineSequence& s, int32_t tokens) { return tokens <= s.capacity || take_blocks(s, tokens); }
  /// Attaches the longest prefix found in the cache, at most known() - 1 tokens. Returns the blocks found.
  void attach_prefix(EngineSequence& s);
  /// Blocks that finding the prefix would take out of the pool, and the tokens found; no change.
  void probe_prefix(const EngineSequence& s, int32_t& tokens, int32_t& cached_blocks) const;
  /// Takes the last running sequence off its blocks and puts it in front of the waiting ones. It must have no row in
  /// the plan being made.
  void preempt_tail();
  /// Adds a row: `n` tokens of a running sequence with their blocks in place.
  void add_row(int32_t slot, int32_t n);
  /// One decode row (with drafts, when asked), growing its blocks, preempting from the tail; false when the sequence
  /// itself was preempted. `position` is its index in running_.
  bool add_decode_row(size_t position, int32_t& budget);
  /// The common case of add_decode_row(): one token, no draft; false when it needs a block and there is none.
  bool decode_one(int32_t slot, EngineSequence& s) {
    if (s.computed >= s.capacity && !take_blocks(s, s.computed + 1)) return false;
    view_->add_decode(1, s.computed++);
    ++view_->samples;
    ++s.generated;
    ++s.in_flight;
    current_->push_back({slot, 1, true, true});
    return true;
  }
  /// Moves the front of the waiting queue to the running ones.
  void admit_front(Ns now);
  void push_waiting(int32_t slot, bool front);
  /// Takes sequences whose KV arrived (disaggregation, forks) into the running ones.
  void admit_ready();
  bool wants_step(const EngineSequence& s) const { return s.generated < s.target || s.computed < s.prompt; }
  int32_t watermark_blocks() const { return watermark_blocks_; }

  EngineOptions options_;
  sched::BlockPool pool_;
  std::vector<EngineSequence> slots_;
  std::vector<int32_t> unused_;
  std::vector<int32_t> slot_of_;  // by request id
  std::vector<int32_t> running_;  // slots in order of admission
  Ring<int32_t> waiting_;
  Ring<int32_t> ready_;
  std::vector<Row> rows_[2];      // plans in flight
  int first_ = 0, in_flight_ = 0;
  std::vector<Row>* current_ = nullptr;
  BatchView* view_ = nullptr;
  int64_t preemptions_ = 0;

 private:
  bool take_blocks(EngineSequence& s, int32_t tokens);
  int32_t new_slot(const EngineRequest& request);
  void free_slot(int32_t slot);
  void release_blocks(EngineSequence& s);
  void publish_full(EngineSequence& s, int32_t upto_blocks);
  sched::BlockHash block_hash(const EngineSequence& s, int32_t index) const;
  int32_t accepted_drafts(const EngineSequence& s, int32_t drafts) const;
  double rank_of(const EngineSequence& s) const;

  int32_t watermark_blocks_;
  CounterRng rng_;
  BatchView scratch_;
};

}  // namespace callie::plan
