#include "decode/edge_cloud/model_target.h"

#include <algorithm>

namespace callie::edge_cloud {

Sampling to_wire(const SamplingOptions& sampling) {
  Sampling out;
  out.temperature = sampling.temperature;
  out.top_k = static_cast<uint32_t>(sampling.top_k);
  out.top_p = sampling.top_p;
  out.min_p = sampling.min_p;
  out.repeat_penalty = sampling.repeat_penalty;
  out.presence_penalty = sampling.presence_penalty;
  out.frequency_penalty = sampling.frequency_penalty;
  out.seed = sampling.seed;
  out.bias.assign(sampling.logit_bias.begin(), sampling.logit_bias.end());
  return out;
}

SamplingOptions from_wire(const Sampling& sampling) {
  SamplingOptions out;
  out.temperature = sampling.temperature;
  out.top_k = static_cast<int>(std::min<uint32_t>(sampling.top_k, 1u << 30));
  out.top_p = sampling.top_p;
  out.min_p = sampling.min_p;
  out.repeat_penalty = sampling.repeat_penalty;
  out.presence_penalty = sampling.presence_penalty;
  out.frequency_penalty = sampling.frequency_penalty;
  out.seed = sampling.seed;
  out.logit_bias.assign(sampling.bias.begin(), sampling.bias.end());
  return out;
}

struct ModelTarget::Session {
  Session(const Tokenizer& tokenizer, const Open& request, std::unique_ptr<TokenMask> constraint)
      : sampling(from_wire(request.sampling)),
        mask(std::move(constraint)),
        has_stops(!request.sampling.stop.empty()),
        ignore_end(request.ignore_end),
        max_new(request.max_new),
        detokenizer(tokenizer),
        stops(request.sampling.stop) {}

  SamplingOptions sampling;
  std::unique_ptr<TokenMask> mask;  // as it is before the first token; may be null
  bool has_stops, ignore_end;
  int max_new;
  sched::Handle handle;
  bool in_cache = false;   // the handle names a sequence of the scheduler
  bool replaying = false;  // generated tokens are verified as drafts
  int seen = 0;            // generated tokens that went through hash and stops
  bool ended = false;
  StreamingDetokenizer detokenizer;
  StopMatcher stops;
  decode::LogitsHash hash;
};

StatusOr<std::unique_ptr<ModelTarget>> ModelTarget::create(std::shared_ptr<const Model> model, ExecutorOptions options,
                                                           ThreadPool& pool, const Clock& clock,
                                                           std::shared_ptr<const ExitHeads> exits) {
  CALLIE_ASSIGN_OR_RETURN(auto executor, Executor::create(model, options, pool));
  return std::unique_ptr<ModelTarget>(new ModelTarget(std::move(model), std::move(executor), clock, std::move(exits)));
}

ModelTarget::ModelTarget(std::shared_ptr<const Model> model, std::unique_ptr<Executor> executor, const Clock& clock,
                         std::shared_ptr<const ExitHeads> exits)
    : model_(std::move(model)), executor_(std::move(executor)), clock_(clock) {
  if (exits) {
    judge_.emplace(std::move(exits));
    taps_.exits = judge_->heads().heads();
    taps_.on_exit = [this](int exit, const nn::ExitRows& rows) { report_exit(exit, rows); };
  }
  executor_->set_taps_hook([this](const sched::StepPlan& plan, std::span<const int32_t>) { return prepare(plan); });
}

// Notes when passes begin, and asks for exits where a pass over a draft wants them.
const nn::Taps* ModelTarget::prepare(const sched::StepPlan& plan) {
  exits_wanted_.clear();
  int64_t first_row = 0;
  for (const sched::Row& row : plan.rows) {
    const auto found = jobs_.find(executor_->scheduler().sequence(row.handle).request_id);
    if (found != jobs_.end()) {
      Job& job = found->second;
      if (job.started < 0) job.started = clock_.now();
      if (judge_ && job.pass.exits && !job.rebuilds && row.samples && row.n_draft > 0) {
        exits_wanted_.push_back({found->first, row.handle, first_row});
      }
    }
    if (row.samples) first_row += 1 + row.n_draft;
  }
  return exits_wanted_.empty() ? nullptr : &taps_;
}

void ModelTarget::report_exit(int exit, const nn::ExitRows& rows) {
  for (const ExitWanted& wanted : exits_wanted_) {
    Job& job = jobs_.at(wanted.session);
    const Session& s = *sessions_.at(wanted.session);
    const auto& draft = executor_->scheduler().sequence(wanted.handle).draft;
    const auto guess = judge_->judge(exit, rows, wanted.first_row, {draft.data(), draft.size()},
                                     executor_->sampler(wanted.handle), [&](TokenId token) {
                                       return !s.ignore_end && model_->tokenizer().is_end_of_generation(token);
                                     });
    const TimeNs at = clock_.now() - job.started;
    job.exit_us.push_back(static_cast<uint32_t>(at / kMicrosecond));
    if (guess.ok()) (*on_exit_)({job.pass.pass, exit, guess->outcome, guess->confidence, at});
  }
}

ModelTarget::~ModelTarget() = default;

Status ModelTarget::open(SessionId session, const Open& request) {
  if (!request.images.empty()) return error(StatusCode::kUnimplemented, "this model reads no images");
  const SamplingOptions sampling = from_wire(request.sampling);
  CALLIE_RETURN_IF_ERROR(sampling.validate(model_->spec().vocab_size));
  const auto& pool = executor_->blocks();
  const auto longest = std::min<int64_t>(executor_->options().context,
                                         static_cast<int64_t>(request.prompt_ids.size()) - request.generated + request.max_new);
  if (pool.blocks_for(longest) > pool.n_blocks()) {
    return resource_exhausted("{} tokens do not fit this server's memory for keys and values", longest);
  }
  CALLIE_ASSIGN_OR_RETURN(auto mask, compile(request.sampling.constraint));
  sessions_[session] = std::make_unique<Session>(model_->tokenizer(), request, std::move(mask));
  return ok_status();
}

StatusOr<std::unique_ptr<TokenMask>> ModelTarget::compile(const Constraint& constraint) {
  if (constraint.kind == Constraint::Kind::kNone) return std::unique_ptr<TokenMask>();
  if (!grammars_) {
    CALLIE_ASSIGN_OR_RETURN(grammars_, GrammarCompiler::create(model_->tokenizer()));
  }
  const bool schema = constraint.kind == Constraint::Kind::kJsonSchema;
  auto compiled = grammars_->compile(schema ? GrammarCompiler::Kind::kJsonSchema : GrammarCompiler::Kind::kLark, constraint.source);
  if (!compiled.ok()) return compiled.status().with_context("the constraint");
  return std::move(compiled->mask);
}

void ModelTarget::evict(SessionId session) {
  Session& s = *sessions_.at(session);
  if (std::exchange(s.in_cache, false)) executor_->cancel(s.handle, seconds());
}

void ModelTarget::close(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  if (found->second->in_cache) executor_->cancel(found->second->handle, seconds());
  sessions_.erase(found);
  jobs_.erase(session);
}

int ModelTarget::cache_length(SessionId session) const {
  const Session& s = *sessions_.at(session);
  return s.in_cache ? executor_->scheduler().sequence(s.handle).computed_tokens : 0;
}

// `replay`: the sequence begins at the prompt and verifies what was generated; else it begins behind that.
Status ModelTarget::submit(Session& s, const Job& job, bool replay) {
  const auto generated = static_cast<int>(job.pass.committed.size()) - job.pass.first_new;
  s.replaying = replay;
  GenerationRequest request;
  request.request.id = job.pass.session;
  request.request.prompt = replay ? std::span(job.pass.committed).first(job.pass.first_new) : std::span(job.pass.committed);
  request.request.max_new = s.max_new - (replay ? 0 : generated);
  request.request.arrival_s = seconds();
  request.request.hold_after_step = true;
  request.sampling = s.sampling;
  if (s.mask) request.mask = s.mask->clone();
  request.generated = replay ? 0 : generated;
  CALLIE_ASSIGN_OR_RETURN(s.handle, executor_->submit(std::move(request), seconds()));
  s.in_cache = true;
  return ok_status();
}

void ModelTarget::begin(PassJob pass) {
  Job& job = jobs_[pass.session] = Job{std::move(pass)};
  Session& s = *sessions_.at(job.pass.session);
  const auto generated = static_cast<int>(job.pass.committed.size()) - job.pass.first_new;
  if (!s.in_cache) {
    job.rebuilds = true;
    job.status = submit(s, job, s.seen < generated);
    job.done = !job.status.ok();
    return;
  }
  job.rebuilds = cache_length(job.pass.session) + 1 < static_cast<int>(job.pass.committed.size());
  executor_->scheduler().set_draft(s.handle, job.pass.draft);
  executor_->scheduler().resume(s.handle);
}

sched::FinishReason ModelTarget::on_token(const ChosenToken& token) {
  Job& job = jobs_.at(token.request_id);
  Session& s = *sessions_.at(token.request_id);
  const auto generated = static_cast<int64_t>(job.pass.committed.size()) - job.pass.first_new;
  if (s.replaying && token.index < generated && token.token != job.pass.committed[job.pass.first_new + token.index]) {
    return sched::FinishReason::kCancelled;  // the client's text is not this model's; it goes on from it all the same
  }
  s.hash.add(token.logits);
  ++s.seen;
  bool stopped = !s.ignore_end && model_->tokenizer().is_end_of_generation(token.token);
  if (s.has_stops && !stopped) stopped = s.stops.add(s.detokenizer.add(token.token)).stopped;
  if (!s.replaying || token.index >= generated) job.chosen.push_back(token.token);
  if (!stopped) return sched::FinishReason::kNone;
  s.ended = true;
  return sched::FinishReason::kStop;
}

void ModelTarget::on_finish(sched::Handle, const sched::Sequence& sequence) {
  const auto found = sessions_.find(sequence.request_id);
  if (found == sessions_.end()) return;
  Session& s = *found->second;
  // A sequence that this session has left (evicted, cancelled) may be told of late.
  if (!s.in_cache || executor_->scheduler().alive(s.handle)) return;
  s.in_cache = false;
  const auto job = jobs_.find(sequence.request_id);
  if (job != jobs_.end() && sequence.finish_reason == sched::FinishReason::kError) {
    job->second.status = error(StatusCode::kInternal, "the model's logits choose no token");
  }
}

// After a step: the pass has ended, or a replay takes its next tokens.
void ModelTarget::go_on(Session& s, Job& job) {
  if (!job.status.ok() || !job.chosen.empty()) {
    job.done = true;
    return;
  }
  const auto generated = static_cast<int>(job.pass.committed.size()) - job.pass.first_new;
  if (!s.in_cache) {
    if (!s.replaying || s.ended) {
      job.status = error(StatusCode::kInternal, "the sequence ended before its pass");
    } else {
      for (int i = s.seen; i < generated; ++i) {
        s.stops.add(s.detokenizer.add(job.pass.committed[job.pass.first_new + i]));
      }
      s.seen = generated;
      job.status = submit(s, job, false);
    }
    job.done = !job.status.ok();
    return;
  }
  const sched::Sequence& sequence = executor_->scheduler().sequence(s.handle);
  if (!s.replaying || !sequence.held) return;
  const auto rest = std::span(job.pass.committed).subspan(sequence.known_tokens);
  executor_->scheduler().set_draft(s.handle, rest);
  executor_->scheduler().resume(s.handle);
}

void ModelTarget::step(const std::function<void(const ExitReport&)>& on_exit,
                       const std::function<void(PassJob)>& on_done) {
  on_exit_ = &on_exit;
  const TimeNs begin = clock_.now();
  const StatusOr<bool> ran = executor_->step([this] { return seconds(); }, *this);
  const TimeNs end = clock_.now();
  busy_ += end - begin;
  std::vector<PassJob> done;
  for (auto& [id, job] : jobs_) {
    Session& s = *sessions_.at(id);
    if (!job.done && !ran.ok()) job.status = ran.status();
    if (!job.done) go_on(s, job);
    if (!job.done) continue;
    PassResult& result = job.pass.result;
    result.status = job.status;
    if (job.status.ok()) {
      result.outcome = {static_cast<int>(job.chosen.size()) - 1, job.chosen.back()};
      result.ended = s.ended;
      s.replaying = false;
      if (judge_ && !job.rebuilds) judge_->learn(static_cast<int>(job.pass.draft.size()), result.outcome.accepted);
    }
    result.exit_us = std::move(job.exit_us);
    const TimeNs started = job.started < 0 ? begin : job.started;
    result.queue_us = static_cast<uint32_t>(std::max<TimeNs>(0, started - job.pass.queued_at) / kMicrosecond);
    result.verify_us = static_cast<uint32_t>((end - started) / kMicrosecond);
    result.width = job.rebuilds ? 0 : static_cast<int>(job.pass.draft.size()) + 1;
    result.logits_hash = s.hash.digest();
    done.push_back(std::move(job.pass));
  }
  for (PassJob& pass : done) {
    jobs_.erase(pass.session);
    on_done(std::move(pass));
  }
}

TimeNs ModelTarget::run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>& on_exit) {
  const TimeNs begin_ns = clock_.now();
  for (PassJob& job : jobs) begin(job);
  while (!idle()) {
    step(on_exit, [&](PassJob pass) {
      for (PassJob& job : jobs) {
        if (job.session == pass.session) job.result = std::move(pass.result);
      }
    });
  }
  return clock_.now() - begin_ns;
}

}  // namespace callie::edge_cloud
