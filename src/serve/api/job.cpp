#include "serve/api/job.h"

#include "serve/api/error.h"
#include "serve/metrics.h"
#include "tokenizer/tokenizer.h"

namespace callie::serve {

struct Job::State {
  explicit State(const AnswerParser::Options& options) : parser(options) {}
  AnswerParser parser;
  Choice choice;
  std::vector<LoggedToken> fresh;  // whose text has not been shown yet
  int32_t n_tokens = 0;
  uint64_t id = 0;
  bool done = false;
};

// Brings the engine's events to the connection's strand.
class Job::Sink : public GenerationSink {
 public:
  Sink(std::shared_ptr<Job> job, int index) : job_(std::move(job)), index_(index) {}
  void on_delta(GenerationDelta delta) override {
    Job* job = job_.get();
    job->exchange_->post([job = job_, index = index_, delta = std::move(delta)]() mutable {
      job->on_delta(index, std::move(delta));
    });
  }
  void on_end(const GenerationEnd& end) override {
    Job* job = job_.get();
    job->exchange_->post([job = job_, index = index_, end] { job->on_end(index, end); });
  }

 private:
  std::shared_ptr<Job> job_;
  int index_;
};

void AnswerFormat::stream_error(Exchange& exchange, const std::string& json) { send_event(exchange, json); }

void send_event(Exchange& exchange, const std::string& json, const char* event) {
  std::string text;
  text.reserve(json.size() + 40);
  if (event) text.append("event: ").append(event).append("\n");
  text.append("data: ").append(json).append("\n\n");
  exchange.write(std::move(text));
}

void Job::start(std::shared_ptr<Exchange> exchange, std::shared_ptr<Backend> backend,
                std::vector<AnswerRequest> requests, const JobOptions& options,
                std::unique_ptr<AnswerFormat> format, Metrics& metrics) {
  std::shared_ptr<Job> job(new Job());
  job->exchange_ = std::move(exchange);
  job->backend_ = std::move(backend);
  job->options_ = options;
  job->format_ = std::move(format);
  job->metrics_ = &metrics;
  job->n_open_ = static_cast<int>(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    job->states_.push_back(std::make_unique<State>(options.parser));
    job->states_.back()->choice.index = static_cast<int>(i);
  }
  metrics.streams += job->n_open_;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto id = job->backend_->generate(std::move(requests[i]), std::make_shared<Sink>(job, static_cast<int>(i)));
    if (!id.ok()) {
      // Those before it end as cancelled; those from here on never began.
      metrics.streams -= static_cast<int>(requests.size() - i);
      job->n_open_ = static_cast<int>(i);
      job->fail(id.status());
      job->cancel_all();
      return;
    }
    job->states_[i]->id = *id;
  }
  job->exchange_->on_gone([job] { job->cancel_all(); });
  if (options.stream) {
    job->streaming_ = true;
    job->exchange_->begin_stream(200, "text/event-stream; charset=utf-8",
                                 {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
    job->format_->begin(*job->exchange_);
  }
}

void Job::cancel_all() {
  for (const auto& state : states_) {
    if (!state->done && state->id != 0) backend_->cancel(state->id);
  }
}

void Job::emit(int index, AnswerDelta delta) {
  State& state = *states_[index];
  Answer& answer = state.choice.answer;
  answer.reasoning += delta.reasoning;
  answer.content += delta.content;
  for (const ToolCallDelta& call : delta.calls) {
    if (answer.calls.size() <= static_cast<size_t>(call.index)) answer.calls.resize(call.index + 1);
    answer.calls[call.index].name += call.name;
    answer.calls[call.index].arguments += call.arguments;
  }
  const bool only_reasoning = !answer.reasoning.empty() && answer.content.empty() && answer.calls.empty();
  if (only_reasoning) state.choice.reasoning_tokens = state.n_tokens;
  // Tokens whose text is never shown (of a stop string, at the end) are shown with the last delta.
  const bool shows = !delta.empty() || (state.done && !state.fresh.empty());
  if (!streaming_ || failed_ || !shows) return;
  format_->delta(*exchange_, index, delta, state.fresh);
  state.fresh.clear();
}

void Job::on_delta(int index, GenerationDelta delta) {
  State& state = *states_[index];
  for (TokenInfo& info : delta.tokens) {
    LoggedToken token{std::string(backend_->tokenizer().token_bytes(info.id)), std::move(info)};
    if (streaming_) state.fresh.push_back(token);
    state.choice.tokens.push_back(std::move(token));
  }
  state.choice.text += delta.text;
  state.n_tokens += delta.n_tokens;
  if (!delta.text.empty()) emit(index, state.parser.add(delta.text));
}

void Job::on_end(int index, const GenerationEnd& end) {
  State& state = *states_[index];
  state.done = true;
  state.choice.end = end;
  --metrics_->streams;
  --n_open_;
  if (end.reason == sched::FinishReason::kError) fail(end.status);
  emit(index, state.parser.finish());
  using enum sched::FinishReason;
  const bool natural = end.reason == kStop;
  state.choice.finish_reason = !natural                             ? "length"
                               : state.choice.answer.calls.empty() ? "stop"
                                                                   : "tool_calls";
  metrics_->finished(end);
  if (!failed_ && streaming_) format_->choice_done(*exchange_, state.choice);
  if (n_open_ > 0) return;
  if (!failed_) {
    Usage usage;
    std::vector<Choice> choices;
    for (const auto& one : states_) {
      const GenerationEnd& e = one->choice.end;
      if (!options_.one_prompt || one->choice.index == 0) {
        usage.prompt_tokens += e.prompt_tokens;
        usage.cached_tokens += e.cached_tokens;
      }
      usage.output_tokens += e.output_tokens;
      usage.reasoning_tokens += one->choice.reasoning_tokens;
      choices.push_back(std::move(one->choice));
    }
    format_->done(*exchange_, choices, usage);
  }
  if (streaming_) exchange_->end();
}

void Job::fail(const Status& status) {
  if (failed_) return;
  failed_ = true;
  const ApiError error = from_status(status);
  if (streaming_) {
    format_->stream_error(*exchange_, error_json(error));
  } else {
    respond_error(*exchange_, error);
  }
}

}  // namespace callie::serve
