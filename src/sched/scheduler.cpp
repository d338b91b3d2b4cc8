#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

namespace callie::sched {

Scheduler::Scheduler(const SchedulerOptions& options, BlockPool* pool) : options_(options), pool_(pool) {
  running_.reserve(options.max_seqs);
  plan_.rows.reserve(options.max_seqs);
  plan_.copies.reserve(options.max_seqs);
  plan_.admitted.reserve(options.max_seqs);
  plan_.preempted.reserve(options.max_seqs);
}

int32_t Scheduler::new_slot() {
  if (unused_.empty()) {
    slots_.emplace_back();
    return static_cast<int32_t>(slots_.size()) - 1;
  }
  const int32_t slot = unused_.back();
  unused_.pop_back();
  return slot;
}

bool Scheduler::alive(Handle handle) const {
  if (handle.slot < 0 || handle.slot >= static_cast<int32_t>(slots_.size())) return false;
  const Sequence& sequence = slots_[handle.slot];
  return sequence.generation == handle.generation &&
         (sequence.state == SequenceState::kWaiting || sequence.state == SequenceState::kRunning);
}

StatusOr<Handle> Scheduler::submit(const Request& request, double now) {
  const bool has_tokens = !request.prompt.empty();
  const auto prompt = has_tokens ? static_cast<int32_t>(request.prompt.size()) : request.prompt_tokens;
  if (prompt < 1) return invalid_argument("prompt: no tokens");
  if (request.max_new < 0) return invalid_argument("max_new: {} is negative", request.max_new);
  if (n_waiting() >= options_.queue_limit) {
    return resource_exhausted("queue: {} requests are waiting", n_waiting());
  }
  const int64_t longest = int64_t{prompt} + std::max(request.max_new - 1, 0);
  if (pool_->blocks_for(longest) > pool_->n_blocks()) {
    return resource_exhausted("prompt: {} tokens and {} new ones need {} blocks of {}", prompt, request.max_new,
                              pool_->blocks_for(longest), pool_->n_blocks());
  }
  const int32_t slot = new_slot();
  Sequence& s = slots_[slot];
  s.request_id = request.id;
  s.state = SequenceState::kWaiting;
  s.finish_reason = FinishReason::kNone;
  s.cancelled = s.held = false;
  s.hold_after_step = request.hold_after_step;
  s.prompt_tokens = s.known_tokens = prompt;
  s.computed_tokens = s.cached_tokens = s.preemptions = s.n_published = s.ready_tokens = 0;
  s.max_new = request.max_new;
  s.priority = request.priority;
  s.planned_row = -1;
  s.salt = request.salt;
  s.arrival_s = request.arrival_s;
  s.deadline_s = request.deadline_s;
  s.queued_s = now;
  s.scheduled_s = s.first_token_s = s.finished_s = -1;
  s.key = {request.arrival_s - request.priority * options_.aging_s, next_order_++};
  s.tokens.assign(request.prompt.begin(), request.prompt.end());
  if (has_tokens) s.tokens.reserve(longest + 1);
  s.hashes.clear();
  if (has_tokens || pool_->prefix_cache()) {
    s.hashes.assign(request.block_hashes.begin(), request.block_hashes.end());
    extend_hashes(s);
  }
  s.blocks.clear();
  s.draft.clear();
  next_deadline_ = std::min(next_deadline_, s.deadline_s);
  waiting_.push(slot, s.key);
  ++stats_.submitted;
  return handle_of(slot);
}

void Scheduler::cancel(Handle handle, FinishReason reason, double now) {
  if (!alive(handle)) return;
  Sequence& s = slots_[handle.slot];
  if (in_flight_ && s.planned_row >= 0) {
    s.cancelled = true;
    s.finish_reason = reason;
    return;
  }
  finish(handle.slot, reason, now);
}

void Scheduler::set_draft(Handle handle, std::span<const int32_t> tokens) {
  if (!alive(handle)) return;
  const size_t n = std::min(tokens.size(), static_cast<size_t>(options_.max_draft));
  slots_[handle.slot].draft.assign(tokens.begin(), tokens.begin() + n);
}

void Scheduler::resume(Handle handle) {
  if (!alive(handle)) return;
  Sequence& s = slots_[handle.slot];
  if (!std::exchange(s.held, false)) return;
  if (s.state == SequenceState::kWaiting) waiting_.push(handle.slot, s.key);
}

void Scheduler::finish(int32_t slot, FinishReason reason, double now) {
  Sequence& s = slots_[slot];
  if (s.state == SequenceState::kWaiting) {
    if (!s.held) waiting_.remove(slot);
  } else {
    running_.erase(std::find(running_.begin(), running_.end(), slot));
    release_blocks(s, 0);
  }
  s.state = SequenceState::kFinished;
  s.finish_reason = reason;
  s.finished_s = now;
  s.planned_row = -1;
  finished_.push_back(handle_of(slot));
  ++stats_.finished;
}

void Scheduler::insert_running(int32_t slot) {
  Sequence& s = slots_[slot];
  s.state = SequenceState::kRunning;
  const auto at = std::upper_bound(running_.begin(), running_.end(), slot, [this](int32_t a, int32_t b) {
    return slots_[a].key < slots_[b].key;
  });
  running_.insert(at, slot);
}

StatusOr<Handle> Scheduler::fork(Handle handle, uint64_t request_id, double now) {
  if (!alive(handle) || slots_[handle.slot].state != SequenceState::kRunning || in_flight_) {
    return error(StatusCode::kFailedPrecondition, "fork: the sequence is not running between two steps");
  }
  if (n_running() >= options_.max_seqs) return resource_exhausted("fork: {} sequences run already", n_running());
  const int32_t slot = new_slot();
  Sequence& s = slots_[slot];
  const uint32_t generation = s.generation;
  s = slots_[handle.slot];
  s.generation = generation;
  s.request_id = request_id;
  s.key.order = next_order_++;
  s.queued_s = s.scheduled_s = now;
  s.draft.clear();
  s.held = false;
  s.ready_tokens = slots_[handle.slot].ready_tokens = 0;
  for (BlockId id : s.blocks) pool_->retain(id);
  insert_running(slot);
  ++stats_.submitted;
  return handle_of(slot);
}

Status Scheduler::truncate(Handle handle, int32_t length) {
  if (!alive(handle) || in_flight_) {
    return error(StatusCode::kFailedPrecondition, "truncate: the sequence is not between two steps");
  }
  Sequence& s = slots_[handle.slot];
  if (length < 1 || length > s.known_tokens) {
    return invalid_argument("truncate: length {} is outside 1..{}", length, s.known_tokens);
  }
  s.known_tokens = length;
  s.prompt_tokens = std::min(s.prompt_tokens, length);
  s.computed_tokens = std::min(s.computed_tokens, length - 1);
  if (!s.tokens.empty()) s.tokens.resize(length);
  const int32_t full = length / pool_->block_size();
  if (static_cast<int32_t>(s.hashes.size()) > full) s.hashes.resize(full);
  s.n_published = std::min(s.n_published, s.computed_tokens / pool_->block_size());
  s.draft.clear();
  release_blocks(s, pool_->blocks_for(length));
  // The rest of the last block is about to change; nobody may wait for, or find, what it held.
  for (size_t i = s.n_published; i < s.blocks.size(); ++i) {
    if (pool_->references(s.blocks[i]) == 1) pool_->unpublish(s.blocks[i]);
  }
  return ok_status();
}

void Scheduler::release_blocks(Sequence& s, int32_t keep) {
  s.ready_tokens = 0;
  // The last block first: the end of a prefix is given up before its beginning.
  const auto kept = static_cast<size_t>(keep);
  if (s.blocks.size() <= kept) return;
  for (size_t i = s.blocks.size(); i-- > kept;) pool_->release(s.blocks[i]);
  s.blocks.resize(kept);
}

std::span<const int32_t> Scheduler::block_tokens(const Sequence& s, int32_t index) const {
  if (s.tokens.empty()) return {};
  const auto size = static_cast<size_t>(pool_->block_size());
  return std::span(s.tokens).subspan(index * size, size);
}

void Scheduler::extend_hashes(Sequence& s) {
  const auto size = static_cast<size_t>(pool_->block_size());
  while ((s.hashes.size() + 1) * size <= s.tokens.size()) {
    const BlockHash parent = s.hashes.empty() ? s.salt : s.hashes.back();
    s.hashes.push_back(chain_hash(parent, block_tokens(s, static_cast<int32_t>(s.hashes.size()))));
  }
}

void Scheduler::publish_full(Sequence& s) {
  const int32_t full = s.computed_tokens / pool_->block_size();
  if (s.hashes.empty() && s.tokens.empty()) {  // nobody can ask for them
    s.n_published = full;
    return;
  }
  extend_hashes(s);
  for (; s.n_published < full; ++s.n_published) {
    const int32_t i = s.n_published;
    if (i < static_cast<int32_t>(s.hashes.size())) pool_->publish(s.blocks[i], s.hashes[i], block_tokens(s, i));
  }
}

void Scheduler::commit(std::span<const RowResult> results, double now) {
  in_flight_ = false;
  for (size_t i = 0; i < plan_.rows.size(); ++i) {
    const Row& row = plan_.rows[i];
    const RowResult& result = results[i];
    Sequence& s = slots_[row.handle.slot];
    s.planned_row = -1;
    if (row.kind == RowKind::kDecode && result.n_new == 1 && result.finish == FinishReason::kNone && !s.cancelled &&
        s.tokens.empty() && s.first_token_s >= 0 && s.output_tokens() + 1 < s.max_new) {
      s.computed_tokens = row.start + 1;
      ++s.known_tokens;
      publish(s);
      s.held = s.hold_after_step;
      continue;
    }
    s.draft.clear();
    const int32_t accepted = row.samples ? std::max(result.n_new - 1, 0) : 0;
    s.computed_tokens = row.start + row.n_tokens - row.n_draft + accepted;
    if (row.samples) {
      s.known_tokens += result.n_new;
      if (!s.tokens.empty()) {
        for (int32_t k = 0; k < result.n_new; ++k) s.tokens.push_back(result.tokens ? result.tokens[k] : 0);
      }
      if (s.first_token_s < 0 && result.n_new > 0) s.first_token_s = now;
    }
    stats_.drafted += row.n_draft;
    stats_.accepted += row.n_draft > 0 ? accepted : 0;
    publish(s);
    if (s.cancelled) {
      finish(row.handle.slot, s.finish_reason, now);
    } else if (result.finish != FinishReason::kNone) {
      finish(row.handle.slot, result.finish, now);
    } else if (s.max_new == 0 ? s.computed_tokens >= s.known_tokens : s.output_tokens() >= s.max_new) {
      finish(row.handle.slot, s.max_new == 0 ? FinishReason::kStop : FinishReason::kLength, now);
    } else {
      if (row.n_draft > 0) release_blocks(s, pool_->blocks_for(s.known_tokens));
      s.held = s.hold_after_step && row.samples;
    }
  }
}

}  // namespace callie::sched
