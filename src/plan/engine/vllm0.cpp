// vLLM's first scheduler: while prompts can be admitted a step computes whole prompts only, and decodes stall; otherwise
// every running sequence decodes one token. The budget counts prompts padded to the longest: count x max length.

#include "plan/engine/paged_engine.h"
#include "plan/engine/policies.h"

namespace callie::plan {
namespace {

class Vllm0 : public PagedEngine {
 public:
  using PagedEngine::PagedEngine;

 protected:
  void plan_rows(Ns now, Ns& wake) override {
    (void)wake;
    admit_ready();
    int32_t count = 0, longest = 0;
    while (!waiting_.empty() && static_cast<int32_t>(running_.size()) < options_.max_seqs) {
      const int32_t slot = waiting_.front();
      EngineSequence& s = seq(slot);
      const int32_t length = s.known();
      const int32_t padded = std::max(longest, length);
      // A prompt above the budget runs alone.
      if (count > 0 && static_cast<int64_t>(padded) * (count + 1) > options_.token_budget) break;
      int32_t cached = 0, evictable = 0;
      probe_prefix(s, cached, evictable);
      const int32_t leave = running_.empty() ? 0 : watermark_blocks();
      if (pool_.blocks_for(length) - cached / options_.block_size + evictable + leave > pool_.available()) break;
      attach_prefix(s);
      s.computed = std::max(s.computed, std::min(s.loaded, length - 1));
      grow(s, length);
      admit_front(now);
      add_row(slot, length - s.computed);
      ++count;
      longest = padded;
    }
    if (count > 0) return;
    int32_t budget = INT32_MAX;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (!add_decode_row(i, budget)) break;
    }
  }
};

}  // namespace

std::unique_ptr<Engine> make_vllm0(const EngineOptions& options) { return std::make_unique<Vllm0>(options); }

}  // namespace callie::plan
