// Chunked prefill (Sarathi-Serve, OSDI 2024): decodes first, then the rest of the budget to prompts in progress, then to
// new requests.
//
//   chunked  blocks as a sequence grows; the tail is preempted when a decode finds none
//   mixed    chunked, with at most `prefill_quota` prompt tokens in a step
//   sarathi  a prompt's blocks are reserved when it is admitted, and the watermark is kept free

#include "plan/engine/paged_engine.h"
#include "plan/engine/policies.h"

namespace callie::plan {
namespace {

class Chunked : public PagedEngine {
 public:
  explicit Chunked(const EngineOptions& options)
      : PagedEngine(options), reserve_prompt_(options.policy == "sarathi" || options.reserve_prompt) {
    if (options.policy == "mixed") {
      quota_ = options.prefill_quota > 0 ? options.prefill_quota : std::max(options.token_budget / 2, 1);
    }
  }

 protected:
  void plan_rows(Ns now, Ns& wake) override {
    (void)wake;
    int32_t budget = options_.token_budget;
    const int64_t before = preemptions_;
    admit_ready();
    for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
      const EngineSequence& s = seq(running_[i]);
      if (!decodes(s)) continue;
      if (!add_decode_row(i, budget)) break;
    }
    int32_t prompt_budget = std::min(budget, quota_);
    for (size_t i = 0; i < running_.size() && prompt_budget > 0; ++i) {
      EngineSequence& s = seq(running_[i]);
      if (s.computed >= s.known() || s.in_flight > 0 || decodes(s)) continue;
      const int32_t n = std::min(limit(s.known() - s.computed), prompt_budget);
      if (!grow(s, s.computed + n)) continue;
      add_row(running_[i], n);
      prompt_budget -= n;
    }
    if (preemptions_ != before) return;
    while (!waiting_.empty() && prompt_budget > 0 && static_cast<int32_t>(running_.size()) < options_.max_seqs) {
      const int32_t slot = waiting_.front();
      EngineSequence& s = seq(slot);
      int32_t cached = 0, evictable = 0;
      probe_prefix(s, cached, evictable);
      cached = std::max(cached, std::min(s.loaded, s.known() - 1));
      const int32_t n = std::min(limit(s.known() - cached), prompt_budget);
      const int32_t hold = reserve_prompt_ ? s.known() : cached + n;
      const int32_t leave = running_.empty() ? 0 : watermark_blocks();
      if (pool_.blocks_for(hold) - cached / options_.block_size + evictable + leave > pool_.available()) break;
      attach_prefix(s);
      s.computed = std::max(s.computed, std::min(s.loaded, s.known() - 1));
      if (!grow(s, hold)) break;
      admit_front(now);
      add_row(slot, n);
      prompt_budget -= n;
    }
    // Prompts that hold all blocks and cannot grow would wait for each other for ever, or for sequences that arrived
    // with their blocks and find no place to run.
    if (current_->empty() && (running_.size() > 1 || (running_.size() == 1 && !ready_.empty()))) {
      preempt_tail();
      plan_rows(now, wake);
    }
  }

 private:
  static bool decodes(const EngineSequence& s) { return s.generated > 0 && s.known() - s.computed == 1; }
  int32_t limit(int32_t pending) const { return options_.max_chunk > 0 ? std::min(pending, options_.max_chunk) : pending; }

  int32_t quota_ = INT32_MAX;
  bool reserve_prompt_;
};

}  // namespace

std::unique_ptr<Engine> make_chunked(const EngineOptions& options) { return std::make_unique<Chunked>(options); }

}  // namespace callie::plan
