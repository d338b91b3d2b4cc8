// Callie's own scheduler, the very code that `callie serve` runs.

#include <algorithm>

#include "plan/engine/policies.h"
#include "sched/scheduler.h"

namespace callie::plan {
namespace {

sched::BlockPoolOptions pool_options(const EngineOptions& options) {
  sched::BlockPoolOptions pool;
  pool.n_blocks = options.blocks;
  pool.block_size = options.block_size;
  pool.prefix_cache = options.prefix_cache;
  pool.verify_tokens = false;
  return pool;
}

sched::SchedulerOptions scheduler_options(const EngineOptions& options) {
  sched::SchedulerOptions scheduler;
  scheduler.token_budget = options.token_budget;
  scheduler.max_seqs = options.max_seqs;
  scheduler.max_chunk = options.max_chunk;
  scheduler.queue_limit = INT32_MAX;
  scheduler.watermark = static_cast<int32_t>(options.watermark * options.blocks);
  scheduler.aging_s = options.aging_s;
  return scheduler;
}

class CallieEngine : public Engine {
 public:
  explicit CallieEngine(const EngineOptions& options)
      : options_(options), pool_(pool_options(options)), scheduler_(scheduler_options(options), &pool_) {}

  Status submit(const EngineRequest& request, Ns now) override {
    sched::Request r;
    r.id = request.id;
    r.prompt_tokens = request.prompt;
    r.block_hashes = request.hashes;
    r.max_new = std::max(request.max_tokens, request.output);
    r.priority = request.priority;
    r.arrival_s = to_seconds(request.arrival);
    if (options_.max_context > 0 && static_cast<int64_t>(request.prompt) + request.output > options_.max_context) {
      return resource_exhausted("prompt {} + output {} exceeds the context of {}", request.prompt, request.output,
                                options_.max_context);
    }
    CALLIE_ASSIGN_OR_RETURN(const sched::Handle handle, scheduler_.submit(r, to_seconds(now)));
    if (requests_.size() <= request.id) requests_.resize(std::max<size_t>(request.id + 1, requests_.size() * 2));
    requests_[request.id] = {handle, request.output, true};
    if (static_cast<int32_t>(ends_.size()) <= handle.slot) ends_.resize(std::max<size_t>(handle.slot + 1, ends_.size() * 2));
    ends_[handle.slot] = request.prompt + request.output;
    ++live_;
    return ok_status();
  }

  bool plan(Ns now, BatchView& view, Ns& wake) override {
    (void)wake;
    view = BatchView{};
    view.window = options_.window;
    const sched::StepPlan& plan = scheduler_.plan(to_seconds(now));
    plan_ = &plan;
    for (const sched::Handle handle : plan.admitted) {
      const sched::Sequence& s = scheduler_.sequence(handle);
      if (s.preemptions == 0) {
        events_.push_back({EngineEvent::Kind::kAdmitted, static_cast<uint32_t>(s.request_id), s.cached_tokens});
      }
    }
    preemptions_ += static_cast<int64_t>(plan.preempted.size());
    if (plan.rows.empty()) return false;
    // Decodes come first, one token each; the planner submits no drafts.
    const auto decodes = static_cast<size_t>(plan.n_decode);
    decode_only_ = decodes == plan.rows.size();
    view.decode_sequences = view.decode_tokens = view.samples = plan.n_decode;
    view.decode_context = plan.ctx_decode - plan.n_decode;
    for (size_t i = 0; i < decodes; ++i) {
      const int32_t context = plan.rows[i].start;
      view.decode_context_max = std::max(view.decode_context_max, context);
      view.decode_context_min = std::min(view.decode_context_min, context);
      if (view.window > 0) view.decode_window_context += std::min(context, view.window);
    }
    for (size_t i = decodes; i < plan.rows.size(); ++i) {
      view.add_prefill(plan.rows[i].n_tokens, plan.rows[i].start);
      view.samples += plan.rows[i].samples;
    }
    return true;
  }

  void commit(Ns now) override {
    const size_t n = plan_->rows.size();
    while (results_.size() < n) results_.push_back({.n_new = 1});
    changed_.clear();
    for (size_t i = 0; i < n; ++i) {
      const sched::Row& row = plan_->rows[i];
      // A decode computes its last known token: one more than row.start + 1 are known afterwards.
      if (row.kind == sched::RowKind::kDecode && row.start + 2 < ends_[row.handle.slot]) continue;
      changed_.push_back(i);
      sched::RowResult& result = results_[i];
      if (!row.samples) {
        result.n_new = 0;
        continue;
      }
      const sched::Sequence& s = scheduler_.sequence(row.handle);
      const auto id = static_cast<uint32_t>(s.request_id);
      if (s.output_tokens() == 0) events_.push_back({EngineEvent::Kind::kFirstToken, id, 0});
      if (s.known_tokens + 1 >= ends_[row.handle.slot]) {
        result.finish = sched::FinishReason::kStop;
        events_.push_back({EngineEvent::Kind::kFinished, id, 0});
        requests_[id].live = false;
        --live_;
      }
    }
    scheduler_.commit(std::span(results_).first(n), to_seconds(now));
    for (const size_t i : changed_) results_[i] = {.n_new = 1};
  }

  int64_t repeats() const override {
    if (!decode_only_) return 0;
    int64_t steps = scheduler_.repeatable_steps();
    for (size_t i = 0; i < plan_->rows.size() && steps > 0; ++i) {
      const sched::Row& row = plan_->rows[i];
      steps = std::min<int64_t>(steps, ends_[row.handle.slot] - row.start - 2);
    }
    return steps;
  }
  void repeat(int64_t n) override { scheduler_.repeat_steps(n); }

  void cancel(uint32_t id, Ns now) override {
    if (id >= requests_.size() || !requests_[id].live) return;
    scheduler_.cancel(requests_[id].handle, sched::FinishReason::kCancelled, to_seconds(now));
    requests_[id].live = false;
    --live_;
  }

  void drain(std::vector<uint32_t>& ids, Ns now) override {
    (void)now;
    for (uint32_t id = 0; id < requests_.size(); ++id) {
      if (!requests_[id].live) continue;
      ids.push_back(id);
      requests_[id].live = false;
    }
    live_ = 0;
    events_.clear();
    pool_ = sched::BlockPool(pool_options(options_));
    scheduler_ = sched::Scheduler(scheduler_options(options_), &pool_);
  }

  EngineLoad load() const override {
    EngineLoad load;
    load.waiting = scheduler_.n_waiting();
    load.running = scheduler_.n_running();
    load.kv_tokens = static_cast<int64_t>(pool_.used()) * options_.block_size;
    for (const Entry& entry : requests_) {
      if (!entry.live) continue;
      const sched::Sequence& s = scheduler_.sequence(entry.handle);
      load.waiting_tokens += std::max(s.prompt_tokens - s.computed_tokens, 0);
      load.promised_tokens += std::max(s.prompt_tokens - s.computed_tokens, 0) + s.max_new - s.output_tokens();
    }
    return load;
  }
  bool idle() const override { return live_ == 0; }
  const sched::BlockPool& pool() const override { return pool_; }
  int64_t preemptions() const override { return preemptions_; }
  int32_t cached_prefix(std::span<const sched::BlockHash> hashes) const override {
    if (!options_.prefix_cache) return 0;
    auto& pool = const_cast<sched::BlockPool&>(pool_);
    int32_t tokens = 0;
    for (const sched::BlockHash hash : hashes) {
      if (pool.find(hash).presence != sched::BlockPool::Presence::kReady) break;
      tokens += options_.block_size;
    }
    return tokens;
  }

 private:
  struct Entry {
    sched::Handle handle;
    int32_t output = 0;
    bool live = false;
  };

  EngineOptions options_;
  sched::BlockPool pool_;
  sched::Scheduler scheduler_;
  std::vector<Entry> requests_;  // by id
  std::vector<int32_t> ends_;    // by slot: known tokens with which the request ends
  std::vector<sched::RowResult> results_;  // one new token each, but where `changed_` says
  std::vector<size_t> changed_;
  const sched::StepPlan* plan_ = nullptr;
  int64_t preemptions_ = 0;
  int64_t live_ = 0;
  bool decode_only_ = false;
};

}  // namespace

std::unique_ptr<Engine> make_callie(const EngineOptions& options) { return std::make_unique<CallieEngine>(options); }

}  // namespace callie::plan
