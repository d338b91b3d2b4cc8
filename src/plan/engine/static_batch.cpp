// Static batching (FasterTransformer): a batch of up to max_seqs forms when the engine is idle, at once when full and
// otherwise after `batch_timeout`. Prompts are padded to the longest of the batch and every step computes all rows until
// the longest output is done. Nobody joins, and the memory of all is freed together.

#include <algorithm>

#include "plan/engine/paged_engine.h"
#include "plan/engine/policies.h"

namespace callie::plan {
namespace {

class StaticBatch : public PagedEngine {
 public:
  using PagedEngine::PagedEngine;

 protected:
  int64_t worst_tokens(const EngineRequest& request) const override { return request.prompt + request.max_tokens; }
  bool repeatable() const override { return false; }  // finished rows stay in the batch

  void plan_rows(Ns now, Ns& wake) override {
    if (!running_.empty()) {
      // Rows that ended stay in the computation as padding; their blocks return with the last one.
      for (const int32_t slot : running_) add_row(slot, 1);
      view_->decode_sequences = view_->decode_tokens = width_;
      view_->decode_context = static_cast<int64_t>(width_) * length_;
      view_->decode_context_max = view_->decode_context_min = length_;
      ++length_;
      return;
    }
    if (held_blocks_ > 0) {
      for (const sched::BlockId id : held_) pool_.release(id);
      held_.clear();
      held_blocks_ = 0;
    }
    if (waiting_.empty()) return;
    const Ns oldest = seq(waiting_.front()).arrival;
    if (waiting_.size() < options_.max_seqs && now < oldest + options_.batch_timeout) {
      wake = std::min(wake, oldest + options_.batch_timeout);
      return;
    }
    int32_t longest = 0, output = 0, count = 0;
    while (!waiting_.empty() && count < options_.max_seqs) {
      const EngineSequence& s = seq(waiting_[0]);
      const int32_t prompt = std::max(longest, s.prompt), most = std::max(output, s.max_tokens);
      if (static_cast<int64_t>(pool_.blocks_for(prompt + most)) * (count + 1) > pool_.n_blocks() && count > 0) break;
      longest = prompt;
      output = most;
      admit_front(now);
      ++count;
    }
    width_ = count;
    length_ = longest;
    // The whole batch's padded size is taken at once; sequences draw on it.
    const int64_t wanted = static_cast<int64_t>(pool_.blocks_for(longest + output)) * count;
    for (int64_t i = 0; i < wanted; ++i) {
      const sched::BlockId id = pool_.allocate();
      if (id == sched::kNoBlock) break;
      held_.push_back(id);
    }
    held_blocks_ = static_cast<int64_t>(held_.size());
    for (const int32_t slot : running_) {
      EngineSequence& s = seq(slot);
      const int32_t padding = longest - s.prompt;
      add_row(slot, s.prompt);
      if (padding == 0) continue;
      view_->add_prefill(padding, s.prompt);  // the same row, longer
      --view_->prefill_chunks;
      view_->prefill_context -= s.prompt;
    }
  }

 private:
  int32_t width_ = 0, length_ = 0;
  int64_t held_blocks_ = 0;
  std::vector<sched::BlockId> held_;
};

}  // namespace

std::unique_ptr<Engine> make_static(const EngineOptions& options) { return std::make_unique<StaticBatch>(options); }

}  // namespace callie::plan
