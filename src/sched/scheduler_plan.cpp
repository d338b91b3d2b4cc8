// The part of the scheduler that decides what the next step computes.
#include <algorithm>

#include "sched/scheduler.h"

namespace callie::sched {
namespace {

// Waiting requests that one plan looks at behind others that wait for a shared prefix.
constexpr size_t kMaxDeferred = 64;

}  // namespace

const StepPlan& Scheduler::plan(double now) {
  for (Handle handle : finished_) {
    Sequence& s = slots_[handle.slot];
    s.state = SequenceState::kUnused;
    ++s.generation;
    unused_.push_back(handle.slot);
  }
  finished_.clear();
  plan_.rows.clear();
  plan_.copies.clear();
  plan_.admitted.clear();
  plan_.preempted.clear();
  plan_.n_tokens = plan_.n_prefill = plan_.n_decode = plan_.drafted = 0;
  plan_.prefill_work = 0;
  plan_.ctx_decode = 0;
  if (now >= next_deadline_) expire(now);
  plan_generation();
  plan_prompts();
  const bool short_of_blocks = std::any_of(plan_.preempted.begin(), plan_.preempted.end(),
                                           [this](Handle h) { return !slots_[h.slot].held; });
  if (!short_of_blocks) plan_admissions(now);
  in_flight_ = !plan_.rows.empty();
  return plan_;
}

void Scheduler::expire(double now) {
  next_deadline_ = kNever;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const Sequence& s = slots_[slot];
    if (s.state != SequenceState::kWaiting && s.state != SequenceState::kRunning) continue;
    if (s.deadline_s <= now) {
      finish(static_cast<int32_t>(slot), FinishReason::kDeadline, now);
    } else {
      next_deadline_ = std::min(next_deadline_, s.deadline_s);
    }
  }
}

void Scheduler::add_row(int32_t slot, int32_t n_tokens, int32_t n_draft) {
  Sequence& s = slots_[slot];
  s.planned_row = static_cast<int32_t>(plan_.rows.size());
  Row& row = plan_.rows.emplace_back();  // in place: a copy of fresh small stores stalls
  row.handle = handle_of(slot);
  row.start = s.computed_tokens;
  row.n_tokens = n_tokens;
  row.n_draft = n_draft;
  const bool generating = s.known_tokens - s.computed_tokens == 1 && s.known_tokens > s.prompt_tokens;
  row.kind = !generating ? RowKind::kPrefill : n_draft > 0 ? RowKind::kVerify : RowKind::kDecode;
  row.samples = s.max_new > 0 && s.computed_tokens + n_tokens - n_draft == s.known_tokens;
  if (generating) {
    ++plan_.n_decode;
    plan_.ctx_decode += s.known_tokens;
    plan_.drafted += n_draft;
  } else {
    plan_.n_prefill += n_tokens;
    plan_.prefill_work += n_tokens * (row.start + n_tokens / 2.0);
  }
  plan_.n_tokens += n_tokens;
}

bool Scheduler::make_writable(Sequence& s, int32_t index) {
  BlockId& id = s.blocks[index];
  if (pool_->references(id) > 1) {
    const BlockId copy = pool_->allocate();
    if (copy == kNoBlock) return false;
    plan_.copies.push_back({id, copy});
    pool_->release(id);
    id = copy;
    s.n_published = std::min(s.n_published, index);
  } else if (index < s.n_published) {
    pool_->unpublish(id);
    s.n_published = index;
  }
  return true;
}

bool Scheduler::ensure_blocks(size_t rank, int32_t length, bool may_preempt) {
  Sequence& s = slots_[running_[rank]];
  const int32_t first = s.computed_tokens / pool_->block_size();
  const int32_t needed = pool_->blocks_for(length);
  for (;;) {
    bool enough = first >= static_cast<int32_t>(s.blocks.size()) || make_writable(s, first);
    while (enough && static_cast<int32_t>(s.blocks.size()) < needed) {
      const BlockId id = pool_->allocate();
      enough = id != kNoBlock;
      if (enough) s.blocks.push_back(id);
    }
    if (enough) return true;
    if (preempt_held(rank + 1)) continue;
    if (!may_preempt || running_.size() <= rank + 1) return false;
    preempt(running_.back());
  }
}

void Scheduler::preempt(int32_t slot) {
  Sequence& s = slots_[slot];
  running_.erase(std::find(running_.begin(), running_.end(), slot));
  release_blocks(s, 0);
  s.computed_tokens = 0;
  s.n_published = 0;
  s.draft.clear();
  ++s.preemptions;
  ++stats_.preemptions;
  s.state = SequenceState::kWaiting;
  if (!s.held) waiting_.push(slot, s.key);
  plan_.preempted.push_back(handle_of(slot));
}

bool Scheduler::preempt_held(size_t rank) {
  for (size_t i = running_.size(); i > rank; --i) {
    if (!slots_[running_[i - 1]].held) continue;
    preempt(running_[i - 1]);
    return true;
  }
  return false;
}

void Scheduler::plan_generation() {
  for (size_t rank = 0; rank < running_.size() && plan_.n_tokens < options_.token_budget; ++rank) {
    const int32_t slot = running_[rank];
    Sequence& s = slots_[slot];
    if (s.held || s.known_tokens - s.computed_tokens != 1 || s.known_tokens == s.prompt_tokens) continue;
    if (s.draft.empty() && s.known_tokens <= s.ready_tokens) {  // the usual case of add_row()
      s.planned_row = static_cast<int32_t>(plan_.rows.size());
      Row& row = plan_.rows.emplace_back();
      row.handle = {slot, s.generation};
      row.kind = RowKind::kDecode;
      row.start = s.computed_tokens;
      row.n_tokens = 1;
      row.samples = s.max_new > 0;
      ++plan_.n_decode;
      ++plan_.n_tokens;
      plan_.ctx_decode += s.known_tokens;
      continue;
    }
    const int32_t most = std::min(options_.token_budget - plan_.n_tokens - 1, s.max_new - s.output_tokens() - 1);
    auto n_draft = std::clamp(static_cast<int32_t>(s.draft.size()), 0, std::max(most, 0));
    if (n_draft > 0 && !ensure_blocks(rank, s.known_tokens + n_draft, false)) n_draft = 0;
    s.draft.resize(n_draft);
    if (n_draft == 0 && !ensure_blocks(rank, s.known_tokens, true)) {
      preempt(slot);
      return;
    }
    s.ready_tokens = (s.computed_tokens / pool_->block_size() + 1) * pool_->block_size();
    add_row(slot, 1 + n_draft, n_draft);
  }
}

void Scheduler::plan_prompts() {
  if (plan_.rows.size() == running_.size()) return;
  for (size_t rank = 0; rank < running_.size() && plan_.n_tokens < options_.token_budget; ++rank) {
    const int32_t slot = running_[rank];
    Sequence& s = slots_[slot];
    if (s.held || s.planned_row >= 0) continue;
    int32_t n = std::min(s.known_tokens - s.computed_tokens, options_.token_budget - plan_.n_tokens);
    if (options_.max_chunk > 0) n = std::min(n, options_.max_chunk);
    if (n > 0 && ensure_blocks(rank, s.computed_tokens + n, false)) add_row(slot, n, 0);
  }
}

Scheduler::Admission Scheduler::try_admit(int32_t slot, double now) {
  Sequence& s = slots_[slot];
  extend_hashes(s);
  // At least the last known token is computed, because its logits are needed.
  const int32_t size = pool_->block_size();
  const auto limit = std::min((s.known_tokens - 1) / size, static_cast<int32_t>(s.hashes.size()));
  int32_t n_hits = 0, n_revived = 0;
  if (pool_->prefix_cache()) {
    for (; n_hits < limit; ++n_hits) {
      const auto found = pool_->find(s.hashes[n_hits], block_tokens(s, n_hits));
      if (found.presence == BlockPool::Presence::kPending) return Admission::kDeferred;
      if (found.presence == BlockPool::Presence::kAbsent) break;
      n_revived += pool_->references(found.id) == 0;
    }
  }
  const int32_t needed = pool_->blocks_for(s.known_tokens);
  const int32_t spare = running_.empty() ? 0 : options_.watermark;
  if (pool_->available() - n_revived < needed - n_hits + spare) return Admission::kNoRoom;

  waiting_.remove(slot);
  for (int32_t i = 0; i < n_hits; ++i) {
    const BlockId id = pool_->find(s.hashes[i]).id;
    pool_->retain(id);
    s.blocks.push_back(id);
  }
  for (int32_t i = n_hits; i < needed; ++i) {
    const BlockId id = pool_->allocate();
    s.blocks.push_back(id);
    if ((i + 1) * size <= s.known_tokens && i < static_cast<int32_t>(s.hashes.size())) {
      pool_->announce(id, s.hashes[i]);
    }
  }
  s.computed_tokens = n_hits * size;
  s.n_published = n_hits;
  if (s.scheduled_s < 0) {
    s.scheduled_s = now;
    s.cached_tokens = s.computed_tokens;
    stats_.prompt_tokens += s.prompt_tokens;
    stats_.cached_tokens += s.cached_tokens;
  }
  insert_running(slot);
  plan_.admitted.push_back(handle_of(slot));
  return Admission::kAdmitted;
}

void Scheduler::plan_admissions(double now) {
  deferred_.clear();
  while (!waiting_.empty() && plan_.n_tokens < options_.token_budget) {
    if (n_running() >= options_.max_seqs && !preempt_held(0)) break;
    const int32_t slot = waiting_.front();
    if (slot == blocked_slot_ && pool_->version() == blocked_version_) break;
    const Admission admission = try_admit(slot, now);
    if (admission == Admission::kNoRoom) {
      if (preempt_held(0)) continue;
      blocked_slot_ = slot;
      blocked_version_ = pool_->version();
      break;
    }
    if (admission == Admission::kDeferred) {
      waiting_.pop();
      deferred_.push_back(slot);
      if (deferred_.size() >= kMaxDeferred) break;
      continue;
    }
    const Sequence& s = slots_[slot];
    int32_t n = std::min(s.known_tokens - s.computed_tokens, options_.token_budget - plan_.n_tokens);
    if (options_.max_chunk > 0) n = std::min(n, options_.max_chunk);
    add_row(slot, n, 0);
  }
  for (int32_t slot : deferred_) waiting_.push(slot, slots_[slot].key);
}

int64_t Scheduler::repeatable_steps() const {
  if (!in_flight_ || plan_.rows.size() != running_.size() || next_deadline_ != kNever) return 0;
  // A request that found no room stays out, because blocks only get scarcer; any other might be admitted.
  const bool blocked = !waiting_.empty() && waiting_.front() == blocked_slot_ && pool_->version() == blocked_version_;
  if (!waiting_.empty() && !blocked && n_running() < options_.max_seqs) return 0;
  int64_t steps = INT64_MAX;
  for (const Row& row : plan_.rows) {
    const Sequence& s = slots_[row.handle.slot];
    if (row.kind != RowKind::kDecode || s.cancelled || s.hold_after_step || !s.tokens.empty()) return 0;
    steps = std::min<int64_t>(steps, s.max_new - s.output_tokens() - 1);
  }
  // Each sequence takes at most one block in block_size steps.
  const int64_t rounds = pool_->available() / static_cast<int64_t>(plan_.rows.size());
  return std::max<int64_t>(std::min(steps, (rounds - 1) * pool_->block_size()), 0);
}

void Scheduler::repeat_steps(int64_t n) {
  const auto steps = static_cast<int32_t>(n);
  for (Row& row : plan_.rows) {
    Sequence& s = slots_[row.handle.slot];
    s.known_tokens += steps;
    s.computed_tokens += steps;
    row.start += steps;
    while (static_cast<int32_t>(s.blocks.size()) * pool_->block_size() < s.known_tokens) {
      s.blocks.push_back(pool_->allocate());
    }
    publish(s);
  }
  plan_.ctx_decode += n * static_cast<int64_t>(plan_.rows.size());
}

}  // namespace callie::sched
