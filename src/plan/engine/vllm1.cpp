// vLLM's V1 scheduler: every request "catches up" from computed to known tokens; there is no prefill/decode branch.
//
// Phase A serves the running requests in order from one token budget; a lack of blocks preempts the tail, which is
// recomputed from the front of the waiting queue. Phase B admits from the waiting queue only if nobody was preempted,
// and never preempts. Released blocks keep their hashes, so that a preempted request finds again what was not taken.
//
// Asynchronous scheduling (vLLM's default since 0.14): the next step is planned when the previous one ends, while the
// current one runs, so a request that arrives waits one step more, and a finished one keeps its place one step longer.

#include "plan/engine/paged_engine.h"
#include "plan/engine/policies.h"

namespace callie::plan {
namespace {

class Vllm1 : public PagedEngine {
 public:
  using PagedEngine::PagedEngine;

 protected:
  void plan_rows(Ns now, Ns& wake) override {
    (void)wake;
    int32_t budget = options_.token_budget;
    const int64_t before = preemptions_;
    const bool plain = options_.draft_tokens == 0;
    for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
      const int32_t slot = running_[i];
      EngineSequence& s = seq(slot);
      if (s.generated >= s.target) continue;  // its last token is in flight
      const int32_t pending = s.known() - s.computed;
      if (pending == 1 && s.generated > 0) {
        if (plain && decode_one(slot, s)) {
          --budget;
          continue;
        }
        if (!add_decode_row(i, budget)) break;
        continue;
      }
      const int32_t n = std::min(chunk_limit(pending), budget);
      if (n <= 0) continue;
      bool self = false;
      while (!grow(s, s.computed + n)) {
        self = running_.back() == slot;
        preempt_tail();
        if (self) break;
      }
      if (self) break;
      add_row(slot, n);
      budget -= n;
    }
    if (preemptions_ != before) return;
    const size_t first_ready = running_.size();
    admit_ready();
    for (size_t i = first_ready; i < running_.size() && budget > 0; ++i) {
      if (!add_decode_row(i, budget)) return;
    }
    while (!waiting_.empty() && budget > 0 && static_cast<int32_t>(running_.size()) < options_.max_seqs) {
      const int32_t slot = waiting_.front();
      EngineSequence& s = seq(slot);
      if (s.swapped) {
        if (!resume_swapped(s, budget)) return;
        continue;
      }
      int32_t cached = 0, evictable = 0;
      probe_prefix(s, cached, evictable);
      cached = std::max(cached, std::min(s.loaded, s.known() - 1));
      const int32_t n = std::min(chunk_limit(s.known() - cached), budget);
      const int32_t must_fit = options_.reserve_prompt ? s.known() : cached + n;
      const int32_t held = probe_blocks(s);
      if (pool_.blocks_for(must_fit) - held + evictable + room_to_leave() > pool_.available()) return;
      attach_prefix(s);
      s.computed = std::max(s.computed, std::min(s.loaded, s.known() - 1));
      if (!grow(s, s.computed + n)) return;
      admit_front(now);
      add_row(slot, n);
      budget -= n;
    }
  }

 private:
  int32_t chunk_limit(int32_t pending) const {
    return options_.max_chunk > 0 ? std::min(pending, options_.max_chunk) : pending;
  }
  int32_t room_to_leave() const { return running_.empty() ? 0 : watermark_blocks(); }
  int32_t probe_blocks(const EngineSequence& s) const {
    int32_t tokens = 0, evictable = 0;
    probe_prefix(s, tokens, evictable);
    return tokens / options_.block_size;
  }
  bool resume_swapped(EngineSequence& s, int32_t& budget) {
    if (pool_.blocks_for(s.computed + 1) + room_to_leave() > pool_.available()) return false;
    grow(s, s.computed);
    view_->swapped_tokens += s.computed;
    s.swapped = false;
    admit_front(0);
    const int32_t n = std::min(chunk_limit(s.known() - s.computed), budget);
    if (grow(s, s.computed + n)) {
      add_row(running_.back(), n);
      budget -= n;
    }
    return true;
  }
};

}  // namespace

std::unique_ptr<Engine> make_vllm1(const EngineOptions& options) { return std::make_unique<Vllm1>(options); }

}  // namespace callie::plan
