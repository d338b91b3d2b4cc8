#include "serve/model_backend.h"

#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "chat/grammar.h"
#include "chat/template.h"
#include "core/log.h"
#include "decode/speculative/executor_drafts.h"
#include "serve/engine_log.h"
#include "tokenizer/streaming.h"
#include "tokenizer/tokenizer.h"

namespace callie::serve {
namespace {

// An answer on the engine's thread.
struct Stream {
  Stream(const Tokenizer& tokenizer, AnswerRequest& request)
      : detokenizer(tokenizer, !request.show_special), stops(request.stop) {}
  sched::Handle handle;
  std::shared_ptr<GenerationSink> sink;
  StreamingDetokenizer detokenizer;
  StopMatcher stops;
  bool ignore_eos = false;
  int top_logprobs = -1;
  int stop_index = -1;
  int32_t unshown = 0;  // tokens since the last delta
  bool ended = false;  // by a stop string or the end of generation
};

class ModelBackend : public Backend, private ExecutorListener {
 public:
  ModelBackend(const std::string& id, std::shared_ptr<const Model> model, std::unique_ptr<Executor> executor,
               std::unique_ptr<decode::Speculator> speculator)
      : model_(std::move(model)), executor_(std::move(executor)) {
    if (speculator) {
      drafts_ = std::make_unique<decode::ExecutorDrafts>(std::move(speculator));
      drafts_->attach(*executor_);
    }
    info_.id = id;
    info_.context = static_cast<int32_t>(executor_->options().context);
    info_.fingerprint = fmt::format("fp_{:016x}", model_->fingerprint());
    struct stat file {};
    if (stat(model_->path().c_str(), &file) == 0) info_.created = file.st_mtime;
    auto chat = ChatTemplate::from_tokenizer(model_->tokenizer());
    if (chat.ok()) template_ = std::make_unique<ChatTemplate>(std::move(*chat));
    stats_.blocks = executor_->blocks().n_blocks();
  }
  ~ModelBackend() override { stop(); }

  Status start(const ModelBackendOptions& options, int threads) {
    const auto& sched = executor_->options().sched;
    CALLIE_RETURN_IF_ERROR(log_.open(options.request_log, options.step_log,
                                     {info_.id, threads, sched.token_budget, sched.max_seqs,
                                      executor_->blocks().block_size(), executor_->blocks().n_blocks()}));
    thread_ = std::thread([this] { run(); });
    return ok_status();
  }

  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  const ChatTemplate* chat_template() const override { return template_.get(); }

  StatusOr<std::shared_ptr<const GrammarCompiler>> grammars() override {
    std::lock_guard lock(grammar_mutex_);
    if (!grammars_) {
      CALLIE_ASSIGN_OR_RETURN(grammars_, GrammarCompiler::create(model_->tokenizer()));
    }
    return grammars_;
  }

  StatusOr<uint64_t> generate(AnswerRequest request, std::shared_ptr<GenerationSink> sink) override {
    CALLIE_RETURN_IF_ERROR(request.sampling.validate(model_->spec().vocab_size));
    std::lock_guard lock(mutex_);
    if (stopping_) return error(StatusCode::kUnavailable, "the model is being unloaded");
    const int limit = executor_->options().sched.queue_limit;
    if (stats_.waiting + static_cast<int>(inbox_.size()) >= limit) {
      return resource_exhausted("the queue is full: {} requests are waiting", limit);
    }
    inbox_.push_back({next_id_, now(), std::move(request), std::move(sink)});
    wake_.notify_all();
    return next_id_++;
  }

  void cancel(uint64_t id) override {
    std::lock_guard lock(mutex_);
    cancelled_.push_back(id);
    wake_.notify_all();
  }

  Status embed(std::vector<std::vector<int32_t>>, Embedded) override {
    return error(StatusCode::kUnimplemented, "{} gives no embeddings", info_.id);
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  BackendStats stats() const override {
    std::lock_guard lock(mutex_);
    BackendStats stats = stats_;
    stats.waiting += static_cast<int32_t>(inbox_.size());
    return stats;
  }
  std::string debug_steps() const override { return log_.recent_steps(); }

 private:
  struct Submission {
    uint64_t id;
    double arrival_s;
    AnswerRequest request;
    std::shared_ptr<GenerationSink> sink;
  };

  double now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  void run() {
    std::vector<Submission> submissions;
    std::vector<uint64_t> cancels;
    for (;;) {
      submissions.clear();
      cancels.clear();
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] {
          return stopping_ || !inbox_.empty() || !cancelled_.empty() || !executor_->idle() || !streams_.empty();
        });
        submissions.swap(inbox_);
        cancels.swap(cancelled_);
        if (stopping_) {
          for (const auto& [id, stream] : streams_) cancels.push_back(id);
          if (streams_.empty() && submissions.empty()) return;
        }
      }
      for (Submission& submission : submissions) submit(submission);
      for (uint64_t id : cancels) {
        const auto found = streams_.find(id);
        if (found != streams_.end()) executor_->cancel(found->second->handle, now());
      }
      const auto ran = executor_->step([this] { return now(); }, *this);
      if (ran.ok() && *ran) log_.step(executor_->last_step());
      if (!ran.ok()) spdlog::error("{}: {}", info_.id, ran.status().message());
      update_stats(ran.ok() && *ran);
      // After the figures: whoever sees a token finds its answer counted, and at the end its blocks given back.
      for (auto& [sink, delta] : deltas_) sink->on_delta(std::move(delta));
      for (const auto& [sink, end] : ends_) sink->on_end(end);
      deltas_.clear();
      ends_.clear();
      if (executor_->idle() && streams_.empty()) log_.flush();
    }
  }

  void submit(Submission& submission) {
    AnswerRequest& request = submission.request;
    auto stream = std::make_unique<Stream>(model_->tokenizer(), request);
    stream->sink = submission.sink;
    stream->ignore_eos = request.ignore_eos;
    stream->top_logprobs = request.top_logprobs;
    GenerationRequest generation;
    generation.request.id = submission.id;
    generation.request.prompt = request.prompt;
    const auto prompt_tokens = static_cast<int32_t>(request.prompt.size());
    generation.request.max_new = request.max_new > 0 ? request.max_new : std::max(1, info_.context - prompt_tokens);
    generation.request.salt = request.salt;
    generation.request.priority = request.priority;
    generation.request.arrival_s = submission.arrival_s;
    generation.request.deadline_s = submission.arrival_s + request.timeout_s;
    generation.sampling = request.sampling;
    generation.mask = std::move(request.mask);
    const auto handle = executor_->submit(std::move(generation), now());
    if (!handle.ok()) {
      submission.sink->on_end({.reason = sched::FinishReason::kError, .status = handle.status(),
                               .prompt_tokens = prompt_tokens});
      return;
    }
    stream->handle = *handle;
    streams_.emplace(submission.id, std::move(stream));
  }

  sched::FinishReason on_token(const ChosenToken& chosen) override {
    Stream& stream = *streams_.at(chosen.request_id);
    GenerationDelta delta;
    const Tokenizer& tokenizer = model_->tokenizer();
    if (!stream.ignore_eos && tokenizer.is_end_of_generation(chosen.token)) {
      stream.ended = true;
      return sched::FinishReason::kStop;
    }
    ++stream.unshown;
    if (stream.top_logprobs >= 0) {
      TokenInfo info{.id = chosen.token};
      info.top = Sampler::top_logprobs(chosen.logits, stream.top_logprobs, chosen.token, &info.logprob);
      delta.tokens.push_back(std::move(info));
    }
    StopMatcher::Result matched = stream.stops.add(stream.detokenizer.add(chosen.token));
    delta.text = std::move(matched.text);
    if (matched.stopped) {
      stream.ended = true;
      stream.stop_index = matched.stop_index;
    }
    if (!delta.text.empty() || !delta.tokens.empty()) {
      delta.n_tokens = std::exchange(stream.unshown, 0);
      deltas_.emplace_back(stream.sink, std::move(delta));
    }
    return matched.stopped ? sched::FinishReason::kStop : sched::FinishReason::kNone;
  }

  void on_finish(sched::Handle, const sched::Sequence& sequence) override {
    const auto found = streams_.find(sequence.request_id);
    if (found == streams_.end()) return;
    Stream& stream = *found->second;
    if (stream.stop_index < 0) {
      StopMatcher::Result rest = stream.stops.add(stream.detokenizer.finish());
      if (!rest.stopped) rest.text += stream.stops.finish();
      if (!rest.text.empty()) {
        deltas_.emplace_back(stream.sink, GenerationDelta{.text = std::move(rest.text), .n_tokens = stream.unshown});
      }
    }
    GenerationEnd end;
    end.reason = sequence.finish_reason;
    if (end.reason == sched::FinishReason::kError) {
      end.status = error(StatusCode::kInternal, "no token satisfies the constraint");
    }
    end.prompt_tokens = sequence.prompt_tokens;
    end.cached_tokens = sequence.cached_tokens;
    end.output_tokens = sequence.output_tokens();
    end.stop_index = stream.stop_index;
    end.queue_s = std::max(0.0, sequence.scheduled_s - sequence.arrival_s);
    end.ttft_s = std::max(0.0, sequence.first_token_s - sequence.arrival_s);
    end.total_s = sequence.finished_s - sequence.arrival_s;
    {
      std::lock_guard lock(mutex_);
      stats_.output_tokens += end.output_tokens;
    }
    log_.request(sequence, executor_->blocks().block_size());
    ends_.emplace_back(stream.sink, end);
    streams_.erase(found);
  }

  void update_stats(bool stepped) {
    const sched::Scheduler& scheduler = executor_->scheduler();
    const sched::SchedulerStats& s = scheduler.stats();
    const StepRecord& record = executor_->last_step();
    std::lock_guard lock(mutex_);
    stats_.waiting = scheduler.n_waiting();
    stats_.running = scheduler.n_running();
    stats_.blocks_used = executor_->blocks().used();
    stats_.blocks_cached = executor_->blocks().cached();
    stats_.prompt_tokens = s.prompt_tokens;
    stats_.cached_tokens = s.cached_tokens;
    stats_.finished = s.finished;
    stats_.preemptions = s.preemptions;
    stats_.drafted = s.drafted;
    stats_.accepted = s.accepted;
    if (!stepped) return;
    ++stats_.steps;
    stats_.step_s += record.step_us * 1e-6;
    stats_.host_s += record.host_us * 1e-6;
    stats_.batch_tokens += record.n_prefill + record.n_decode + record.drafted;
    stats_.batch_sequences += record.n_decode;
  }

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  ModelInfo info_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<ChatTemplate> template_;
  std::mutex grammar_mutex_;
  std::shared_ptr<const GrammarCompiler> grammars_;
  std::unique_ptr<Executor> executor_;                             // the engine's thread only, like the next five
  std::unique_ptr<decode::ExecutorDrafts> drafts_;                 // null without --draft
  std::unordered_map<uint64_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::pair<std::shared_ptr<GenerationSink>, GenerationDelta>> deltas_;  // of this step, like the next
  std::vector<std::pair<std::shared_ptr<GenerationSink>, GenerationEnd>> ends_;
  EngineLog log_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Submission> inbox_;  // guarded by mutex_, like all below
  std::vector<uint64_t> cancelled_;
  BackendStats stats_;
  uint64_t next_id_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

StatusOr<std::shared_ptr<Backend>> make_model_backend(const std::string& id, std::shared_ptr<const Model> model,
                                                      const ModelBackendOptions& options, ThreadPool& pool,
                                                      std::unique_ptr<decode::Speculator> speculator) {
  CALLIE_ASSIGN_OR_RETURN(auto executor, Executor::create(model, options.executor, pool));
  auto backend = std::make_shared<ModelBackend>(id, std::move(model), std::move(executor), std::move(speculator));
  CALLIE_RETURN_IF_ERROR(backend->start(options, pool.size()));
  return std::shared_ptr<Backend>(std::move(backend));
}

}  // namespace callie::serve
