// Iteration-level batching (Orca, OSDI 2022): a request joins at any step boundary with its whole prompt, beside the
// decodes of others. `orca` reserves blocks for prompt + max_tokens at admission and never preempts; `continuous` takes
// blocks as it grows and preempts from the tail.

#include "plan/engine/paged_engine.h"
#include "plan/engine/policies.h"

namespace callie::plan {
namespace {

class Orca : public PagedEngine {
 public:
  explicit Orca(const EngineOptions& options) : PagedEngine(options), reserve_all_(options.policy == "orca") {}

 protected:
  int64_t worst_tokens(const EngineRequest& request) const override {
    return request.prompt + static_cast<int64_t>(reserve_all_ ? request.max_tokens : request.output);
  }

  int64_t reserved_tokens(const EngineRequest& request) const override {
    return request.prompt + static_cast<int64_t>(reserve_all_ ? std::max(request.max_tokens, 1) : 1);
  }

  void plan_rows(Ns now, Ns& wake) override {
    (void)wake;
    int32_t unlimited = INT32_MAX;
    const int64_t before = preemptions_;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (!add_decode_row(i, unlimited)) break;
    }
    if (preemptions_ != before) return;
    const size_t first_ready = running_.size();
    admit_ready();
    for (size_t i = first_ready; i < running_.size(); ++i) {
      if (!add_decode_row(i, unlimited)) return;
    }
    int32_t prompt_tokens = 0;
    while (!waiting_.empty() && static_cast<int32_t>(running_.size()) < options_.max_seqs) {
      const int32_t slot = waiting_.front();
      EngineSequence& s = seq(slot);
      int32_t cached = 0, evictable = 0;
      probe_prefix(s, cached, evictable);
      const int32_t n = s.known() - cached;
      if (prompt_tokens > 0 && prompt_tokens + n > options_.token_budget) break;
      const int32_t hold = reserve_all_ ? s.prompt + s.max_tokens : s.known();
      const int32_t leave = running_.empty() ? 0 : watermark_blocks();
      if (pool_.blocks_for(hold) - cached / options_.block_size + evictable + leave > pool_.available()) break;
      attach_prefix(s);
      s.computed = std::max(s.computed, std::min(s.loaded, s.known() - 1));
      grow(s, hold);
      admit_front(now);
      prompt_tokens += s.known() - s.computed;
      add_row(slot, s.known() - s.computed);
    }
  }

 private:
  bool reserve_all_;
};

}  // namespace

std::unique_ptr<Engine> make_orca(const EngineOptions& options) { return std::make_unique<Orca>(options); }

}  // namespace callie::plan
