#include "plan/engine/paged_engine.h"

#include <algorithm>

namespace callie::plan {
namespace {

sched::BlockPoolOptions pool_options(const EngineOptions& options) {
  sched::BlockPoolOptions pool;
  pool.n_blocks = options.blocks;
  pool.block_size = options.block_size;
  pool.prefix_cache = options.prefix_cache;
  pool.verify_tokens = false;  // requests have hashes, not tokens
  return pool;
}

uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xBF58476D1CE4E5B9u;
  x ^= x >> 27;
  x *= 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

PagedEngine::PagedEngine(const EngineOptions& options)
    : options_(options),
      pool_(pool_options(options)),
      watermark_blocks_(static_cast<int32_t>(options.watermark * options.blocks)),
      rng_(options.seed, Purpose::kWorkload, 77) {}

double PagedEngine::rank_of(const EngineSequence& s) const {
  switch (options_.order) {
    case EngineOptions::Order::kPriority:
      return -s.priority;
    case EngineOptions::Order::kShortest:
      return s.max_tokens;
    case EngineOptions::Order::kLeastWork:
      return s.prompt + s.max_tokens - s.emitted;
    case EngineOptions::Order::kDeadline:
      return static_cast<double>(s.deadline);
    case EngineOptions::Order::kFcfs:
      break;
  }
  return 0;
}

int32_t PagedEngine::new_slot(const EngineRequest& request) {
  if (unused_.empty()) {
    unused_.push_back(static_cast<int32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const int32_t slot = unused_.back();
  unused_.pop_back();
  EngineSequence& s = slots_[slot];
  s.id = request.id;
  s.serial = s.prompt_serial = request.serial;
  s.prompt = request.prompt;
  s.target = request.output;
  s.max_tokens = request.max_tokens;
  s.computed = s.generated = s.emitted = s.in_flight = s.published = s.capacity = 0;
  s.loaded = request.loaded;
  s.priority = request.priority;
  s.hold = request.hold;
  s.swapped = s.admitted_once = false;
  s.arrival = request.arrival;
  s.deadline = request.deadline;
  s.hashes = request.hashes;
  s.shares = options_.prefix_cache && !request.hashes.empty();
  s.blocks.clear();
  if (slot_of_.size() <= request.id) slot_of_.resize(std::max<size_t>(request.id + 1, slot_of_.size() * 2), -1);
  slot_of_[request.id] = slot;
  return slot;
}

void PagedEngine::free_slot(int32_t slot) {
  slot_of_[slots_[slot].id] = -1;
  slots_[slot].state = State::kUnused;
  unused_.push_back(slot);
}

Status PagedEngine::submit(const EngineRequest& request, Ns now) {
  (void)now;
  const int64_t worst = worst_tokens(request);
  if (options_.max_context > 0 && static_cast<int64_t>(request.prompt) + request.output > options_.max_context) {
    return resource_exhausted("prompt {} + output {} exceeds the context of {}", request.prompt, request.output,
                              options_.max_context);
  }
  if (pool_.blocks_for(worst) > pool_.n_blocks()) {
    return resource_exhausted("needs {} blocks, the client has {}", pool_.blocks_for(worst), pool_.n_blocks());
  }
  const int32_t slot = new_slot(request);
  slots_[slot].state = State::kWaiting;
  push_waiting(slot, false);
  return ok_status();
}

void PagedEngine::push_waiting(int32_t slot, bool front) {
  EngineSequence& s = slots_[slot];
  s.state = State::kWaiting;
  if (options_.order == EngineOptions::Order::kFcfs) {
    front ? waiting_.push_front(slot) : waiting_.push_back(slot);
    return;
  }
  s.rank = rank_of(s);
  size_t at = waiting_.size();
  while (at > 0 && (front ? slots_[waiting_[at - 1]].rank >= s.rank : slots_[waiting_[at - 1]].rank > s.rank)) --at;
  waiting_.insert(at, slot);
}

sched::BlockHash PagedEngine::block_hash(const EngineSequence& s, int32_t index) const {
  // Prompt blocks with a known hash are shared; all others belong to this request alone.
  if (static_cast<size_t>(index) < s.hashes.size()) return s.hashes[index];
  const uint64_t owner = index < s.prompt / options_.block_size ? s.prompt_serial : s.serial;
  return mix((owner + 1) * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(index)) | 1;
}

bool PagedEngine::take_blocks(EngineSequence& s, int32_t tokens) {
  const int32_t want = pool_.blocks_for(tokens);
  const int32_t have = static_cast<int32_t>(s.blocks.size());
  if (want - have > pool_.available()) return false;
  for (int32_t i = have; i < want; ++i) s.blocks.push_back(pool_.allocate());
  s.capacity = want * options_.block_size;
  return true;
}

void PagedEngine::probe_prefix(const EngineSequence& s, int32_t& tokens, int32_t& cached_blocks) const {
  tokens = cached_blocks = 0;
  if (!options_.prefix_cache || (s.hashes.empty() && !s.admitted_once)) return;
  const int32_t full = (s.known() - 1) / options_.block_size;
  auto& pool = const_cast<sched::BlockPool&>(pool_);  // find() only counts
  for (int32_t i = 0; i < full; ++i) {
    const auto found = pool.find(block_hash(s, i));
    if (found.presence != sched::BlockPool::Presence::kReady) break;
    tokens += options_.block_size;
    if (pool_.references(found.id) == 0) ++cached_blocks;
  }
}

int32_t PagedEngine::cached_prefix(std::span<const sched::BlockHash> hashes) const {
  if (!options_.prefix_cache) return 0;
  auto& pool = const_cast<sched::BlockPool&>(pool_);
  int32_t tokens = 0;
  for (const sched::BlockHash hash : hashes) {
    if (pool.find(hash).presence != sched::BlockPool::Presence::kReady) break;
    tokens += options_.block_size;
  }
  return tokens;
}

void PagedEngine::attach_prefix(EngineSequence& s) {
  if (!options_.prefix_cache || (s.hashes.empty() && !s.admitted_once)) return;
  const int32_t full = (s.known() - 1) / options_.block_size;
  for (int32_t i = 0; i < full; ++i) {
    const auto found = pool_.find(block_hash(s, i));
    if (found.presence != sched::BlockPool::Presence::kReady) break;
    pool_.retain(found.id);
    s.blocks.push_back(found.id);
    ++s.published;
    s.computed += options_.block_size;
  }
  s.capacity = static_cast<int32_t>(s.blocks.size()) * options_.block_size;
}

void PagedEngine::publish_full(EngineSequence& s, int32_t upto_blocks) {
  for (; s.published < upto_blocks; ++s.published) {
    pool_.publish(s.blocks[s.published], block_hash(s, s.published));
  }
}

void PagedEngine::release_blocks(EngineSequence& s) {
  // Contents that nobody can ask for again need no hash while nothing else is cached: free blocks are taken first
  // either way. Otherwise they queue up behind what was released before them, as in vLLM.
  if (options_.prefix_cache && (s.target > s.emitted || !s.hashes.empty() || pool_.cached() > 0)) {
    publish_full(s, std::min<int32_t>(s.computed / options_.block_size, static_cast<int32_t>(s.blocks.size())));
  }
  for (size_t i = s.blocks.size(); i-- > 0;) pool_.release(s.blocks[i]);
  s.blocks.clear();
  s.published = s.capacity = 0;
}

void PagedEngine::preempt_tail() {
  const int32_t slot = running_.back();
  running_.pop_back();
  EngineSequence& s = slots_[slot];
  ++preemptions_;
  if (options_.swap) {
    view_->swapped_tokens += s.computed;
    s.swapped = true;
    for (size_t i = s.blocks.size(); i-- > 0;) pool_.release(s.blocks[i]);
    s.blocks.clear();
    s.published = s.capacity = 0;
  } else {
    release_blocks(s);
    s.computed = 0;
    s.loaded = 0;
  }
  push_waiting(slot, true);
}

void PagedEngine::add_row(int32_t slot, int32_t n) {
  EngineSequence& s = slots_[slot];
  const bool decode = s.generated > 0 && s.known() - s.computed == 1;
  const int32_t context = s.computed;
  s.computed += n;
  ++s.in_flight;
  const bool samples = s.computed >= s.known();
  if (samples) ++s.generated;
  current_->push_back({slot, n, samples, decode});
  if (decode) {
    view_->add_decode(n, context);
  } else {
    view_->add_prefill(n, context);
  }
  view_->samples += samples;
}

bool PagedEngine::add_decode_row(size_t position, int32_t& budget) {
  const int32_t slot = running_[position];
  EngineSequence& s = slots_[slot];
  if (options_.draft_tokens == 0 && decode_one(slot, s)) {
    --budget;
    return true;
  }
  const int32_t drafts = options_.draft_tokens > 0
                             ? std::min({options_.draft_tokens, budget - 1, s.target - s.generated - 1})
                             : 0;
  while (!grow(s, s.computed + 1 + std::max(drafts, 0))) {
    const bool self = running_.back() == slot;
    preempt_tail();
    if (self) return false;
  }
  if (drafts > 0) {
    const int32_t accepted = accepted_drafts(s, drafts);
    view_->add_decode(1 + drafts, s.computed);
    s.computed += 1 + accepted;
    s.generated += 1 + accepted;
    ++s.in_flight;
    ++view_->samples;
    current_->push_back({slot, 1 + accepted, true, true});
    budget -= 1 + drafts;
  } else {
    add_row(slot, 1);
    budget -= 1;
  }
  return true;
}

int32_t PagedEngine::accepted_drafts(const EngineSequence& s, int32_t drafts) const {
  int32_t accepted = 0;
  while (accepted < drafts) {
    const auto words = rng_.words(s.serial, static_cast<uint32_t>(s.generated + accepted));
    if (CounterRng::uniform53(words[0], words[1]) >= options_.draft_acceptance) break;
    ++accepted;
  }
  return accepted;
}

void PagedEngine::admit_front(Ns now) {
  (void)now;
  const int32_t slot = waiting_.front();
  waiting_.pop_front();
  EngineSequence& s = slots_[slot];
  s.state = State::kRunning;
  running_.push_back(slot);
  if (!s.admitted_once) events_.push_back({EngineEvent::Kind::kAdmitted, s.id, s.computed});
  s.admitted_once = true;
}

void PagedEngine::admit_ready() {
  while (!ready_.empty() && static_cast<int32_t>(running_.size()) < options_.max_seqs) {
    const int32_t slot = ready_.front();
    ready_.pop_front();
    EngineSequence& s = slots_[slot];
    s.state = State::kRunning;
    running_.push_back(slot);
    if (!s.admitted_once) events_.push_back({EngineEvent::Kind::kAdmitted, s.id, s.prompt});
    s.admitted_once = true;
  }
}

bool PagedEngine::plan(Ns now, BatchView& view, Ns& wake) {
  view = BatchView{};
  view.window = options_.window;
  view_ = &view;
  current_ = &rows_[(first_ + in_flight_) & 1];
  current_->clear();
  plan_rows(now, wake);
  if (current_->empty()) return false;
  ++in_flight_;
  return true;
}

void PagedEngine::commit(Ns now) {
  (void)now;
  std::vector<Row>& rows = rows_[first_];
  first_ ^= 1;
  --in_flight_;
  bool ended = false;
  for (const Row& row : rows) {
    EngineSequence& s = slots_[row.slot];
    if (s.state == State::kUnused) continue;
    --s.in_flight;
    if (s.shares && s.state == State::kRunning) {
      publish_full(s, std::min<int32_t>({s.computed / options_.block_size, static_cast<int32_t>(s.hashes.size()),
                                         static_cast<int32_t>(s.blocks.size())}));
    }
    if (!row.samples) continue;
    if (s.emitted == 0) events_.push_back({EngineEvent::Kind::kFirstToken, s.id, 0});
    s.emitted += row.decode ? row.n : 1;
    if (s.emitted < s.target) continue;
    ended = true;
  }
  if (!ended) return;
  for (const Row& row : rows) {
    EngineSequence& s = slots_[row.slot];
    if (!row.samples || s.state == State::kUnused || s.emitted < s.target || s.state == State::kHeld) continue;
    if (s.state == State::kWaiting) {  // preempted while its last token was in flight
      for (size_t i = 0; i < static_cast<size_t>(waiting_.size()); ++i) {
        if (waiting_[i] == row.slot) {
          waiting_.erase(i);
          break;
        }
      }
    }
    events_.push_back({EngineEvent::Kind::kFinished, s.id, 0});
    if (s.hold) {
      s.state = State::kHeld;
    } else {
      release_blocks(s);
      free_slot(row.slot);
    }
  }
  std::erase_if(running_, [&](int32_t slot) { return slots_[slot].state != State::kRunning; });
}

int64_t PagedEngine::repeats() const {
  if (options_.async || options_.draft_tokens > 0 || options_.max_context < 0 || !repeatable()) return 0;
  const std::vector<Row>& rows = rows_[first_];
  if (in_flight_ != 1 || rows.size() != running_.size() || !ready_.empty()) return 0;
  int64_t steps = INT64_MAX, per_block = 0;
  for (const Row& row : rows) {
    const EngineSequence& s = slots_[row.slot];
    if (!row.decode || !row.samples) return 0;
    steps = std::min<int64_t>(steps, s.target - s.generated);
    ++per_block;
  }
  // A waiting request that did not fit stays out while blocks only get scarcer; with room left it may be admitted.
  if (!waiting_.empty() && static_cast<int32_t>(running_.size()) < options_.max_seqs) {
    return 0;
  }
  // Each step takes at most one block per sequence in block_size steps.
  const int64_t rounds = pool_.available() / std::max<int64_t>(per_block, 1);
  return std::min(steps, std::max<int64_t>(rounds * options_.block_size - options_.block_size, 0));
}

void PagedEngine::repeat(int64_t n) {
  for (const Row& row : rows_[first_]) {
    EngineSequence& s = slots_[row.slot];
    s.computed += static_cast<int32_t>(n);
    s.generated += static_cast<int32_t>(n);
    s.emitted += static_cast<int32_t>(n);
    grow(s, s.computed);
  }
}

bool PagedEngine::reserve(const EngineRequest& request, Ns now) {
  (void)now;
  const auto tokens = static_cast<int32_t>(reserved_tokens(request));
  const int32_t need = pool_.blocks_for(tokens);
  if (need + (running_.empty() ? 0 : watermark_blocks_) > pool_.available()) return false;
  const int32_t slot = new_slot(request);
  EngineSequence& s = slots_[slot];
  grow(s, tokens);
  s.state = State::kReserved;
  return true;
}

bool PagedEngine::can_reserve(const EngineRequest& request) const {
  // The prefill side made the first token; the prompt, it and all others but the last are held at the end.
  const int64_t most = std::max<int64_t>({worst_tokens(request), reserved_tokens(request), request.prompt + request.output + 1});
  return pool_.blocks_for(most) <= pool_.n_blocks();
}

void PagedEngine::start(uint32_t id) {
  if (id >= slot_of_.size() || slot_of_[id] < 0) return;  // reserved at another rank
  const int32_t slot = slot_of_[id];
  EngineSequence& s = slots_[slot];
  s.computed = s.prompt;
  s.generated = s.emitted = 1;  // the prefill side produced the first token
  s.target += 1;
  s.state = State::kReady;
  ready_.push_back(slot);
}

void PagedEngine::release(uint32_t id) {
  if (id >= slot_of_.size() || slot_of_[id] < 0) return;
  const int32_t slot = slot_of_[id];
  release_blocks(slots_[slot]);
  free_slot(slot);
}

bool PagedEngine::fork(uint32_t id, const EngineRequest& branch, Ns now) {
  (void)now;
  if (id >= slot_of_.size() || slot_of_[id] < 0) return false;  // it ended with this very token
  const int32_t parent_slot = slot_of_[id];
  const int32_t slot = new_slot(branch);
  EngineSequence& s = slots_[slot];
  const EngineSequence& parent = slots_[parent_slot];
  const int32_t shared = std::min<int32_t>(branch.prompt / options_.block_size, static_cast<int32_t>(parent.blocks.size()));
  s.prompt_serial = parent.prompt_serial;
  s.hashes = parent.hashes;
  s.shares = parent.shares;
  for (int32_t i = 0; i < shared; ++i) {
    pool_.retain(parent.blocks[i]);
    s.blocks.push_back(parent.blocks[i]);
  }
  s.capacity = shared * options_.block_size;
  s.published = std::min(shared, parent.published);
  if (!grow(s, branch.prompt)) {  // no room for the tail: start over later
    release_blocks(s);
    push_waiting(slot, false);
    return true;
  }
  s.computed = branch.prompt;
  s.generated = s.emitted = 1;
  s.admitted_once = true;
  s.state = State::kReady;
  ready_.push_back(slot);
  return true;
}

void PagedEngine::cancel(uint32_t id, Ns now) {
  (void)now;
  if (id >= slot_of_.size() || slot_of_[id] < 0) return;
  const int32_t slot = slot_of_[id];
  EngineSequence& s = slots_[slot];
  const auto remove = [&](Ring<int32_t>& ring) {
    for (size_t i = 0; i < static_cast<size_t>(ring.size()); ++i) {
      if (ring[i] == slot) {
        ring.erase(i);
        return;
      }
    }
  };
  if (s.state == State::kWaiting) remove(waiting_);
  if (s.state == State::kReady) remove(ready_);
  if (s.state == State::kRunning) std::erase(running_, slot);
  for (std::vector<Row>& rows : rows_) std::erase_if(rows, [&](const Row& row) { return row.slot == slot; });
  release_blocks(s);
  free_slot(slot);
}

void PagedEngine::drain(std::vector<uint32_t>& ids, Ns now) {
  (void)now;
  for (std::vector<Row>& rows : rows_) rows.clear();
  first_ = in_flight_ = 0;
  running_.clear();
  waiting_.clear();
  ready_.clear();
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    EngineSequence& s = slots_[slot];
    if (s.state == State::kUnused) continue;
    ids.push_back(s.id);
    for (size_t i = s.blocks.size(); i-- > 0;) pool_.release(s.blocks[i]);
    s.blocks.clear();
    free_slot(static_cast<int32_t>(slot));
  }
  pool_.clear_cache();
  events_.clear();
}

EngineLoad PagedEngine::load() const {
  EngineLoad load;
  load.waiting = waiting_.size() + ready_.size();
  load.running = static_cast<int32_t>(running_.size());
  load.kv_tokens = static_cast<int64_t>(pool_.used()) * options_.block_size;
  const auto add = [&](const EngineSequence& s) {
    load.waiting_tokens += std::max(s.prompt - s.computed, 0);
    load.promised_tokens += std::max(s.prompt - s.computed, 0) + std::max(s.max_tokens - s.emitted, 0);
  };
  for (size_t i = 0; i < static_cast<size_t>(waiting_.size()); ++i) add(slots_[waiting_[i]]);
  for (size_t i = 0; i < static_cast<size_t>(ready_.size()); ++i) add(slots_[ready_[i]]);
  for (const int32_t slot : running_) add(slots_[slot]);
  return load;
}

}  // namespace callie::plan
