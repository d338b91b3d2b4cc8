#include "serve/metrics.h"

#include <fmt/format.h>

#include <iterator>

namespace callie::serve {

Histogram::Histogram(double first) {
  static constexpr double kSteps[] = {1, 1.5, 2, 3, 4, 5, 7};
  double decade = first;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    bounds_[i] = decade * kSteps[i % std::size(kSteps)];
    if (i % std::size(kSteps) == std::size(kSteps) - 1) decade *= 10;
  }
}

void Histogram::add(double seconds) {
  size_t i = 0;
  while (i < bounds_.size() && seconds > bounds_[i]) ++i;
  ++counts_[i];
  sum_ += seconds;
}

std::string Histogram::text(std::string_view name, std::string_view help) const {
  std::string out = fmt::format("# HELP {} {}\n# TYPE {} histogram\n", name, help, name);
  int64_t total = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    total += counts_[i];
    fmt::format_to(std::back_inserter(out), "{}_bucket{{le=\"{:g}\"}} {}\n", name, bounds_[i], total);
  }
  total += counts_.back();
  fmt::format_to(std::back_inserter(out), "{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {:.6f}\n{}_count {}\n", name, total, name,
                 sum_.load(), name, total);
  return out;
}

void Metrics::request(std::string_view path, int status) {
  std::lock_guard lock(mutex_);
  ++requests_[{std::string(path), status}];
}

void Metrics::finished(const GenerationEnd& end) {
  if (end.reason == sched::FinishReason::kCancelled) {
    ++cancelled_;
    return;
  }
  if (end.reason == sched::FinishReason::kError) {
    ++failed_;
    return;
  }
  ++completed_;
  queue_.add(end.queue_s);
  ttft_.add(end.ttft_s);
  e2e_.add(end.total_s);
  if (end.output_tokens > 1) tpot_.add((end.total_s - end.ttft_s) / (end.output_tokens - 1));
}

std::string Metrics::text(const std::vector<ModelStats>& models, const HttpStats& http) const {
  std::string out;
  const auto append = [&out](std::string_view name, std::string_view type, std::string_view help, auto value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {2}\n# TYPE {0} {1}\n{0} {3}\n", name, type, help, value);
  };
  append("callie_streams", "gauge", "Answers being generated.", streams.load());
  append("callie_answers_completed_total", "counter", "Answers that ended by themselves.", completed_.load());
  append("callie_answers_cancelled_total", "counter", "Answers whose client went away.", cancelled_.load());
  append("callie_answers_failed_total", "counter", "Answers that ended with an error.", failed_.load());
  append("callie_rejected_total", "counter", "Requests refused with 429.", rejected.load());
  append("callie_schema_checked_total", "counter", "Answers validated after generation.", schema_checked.load());
  append("callie_schema_failed_total", "counter", "Of them, those that were not valid.", schema_failed.load());
  append("callie_http_connections", "gauge", "Open connections.", http.connections);
  append("callie_http_accepted_total", "counter", "Connections accepted.", http.accepted);
  append("callie_http_refused_total", "counter", "Connections over the limit.", http.refused);
  append("callie_http_bad_requests_total", "counter", "Requests malformed, too large or too slow.", http.bad_requests);
  out += "# HELP callie_http_requests_total Requests by path and status.\n# TYPE callie_http_requests_total counter\n";
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, n] : requests_) {
      fmt::format_to(std::back_inserter(out), "callie_http_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first,
                     key.second, n);
    }
  }
  struct Column {
    const char* name;
    const char* type;
    const char* help;
    double (*value)(const BackendStats&);
  };
  static constexpr Column kColumns[] = {
      {"callie_queue", "gauge", "Waiting answers.", [](const BackendStats& s) { return double(s.waiting); }},
      {"callie_batch", "gauge", "Running answers.", [](const BackendStats& s) { return double(s.running); }},
      {"callie_kv_blocks", "gauge", "KV blocks.", [](const BackendStats& s) { return double(s.blocks); }},
      {"callie_kv_blocks_used", "gauge", "KV blocks in use.", [](const BackendStats& s) { return double(s.blocks_used); }},
      {"callie_kv_blocks_cached", "gauge", "Unused KV blocks whose prefix can be found.",
       [](const BackendStats& s) { return double(s.blocks_cached); }},
      {"callie_prompt_tokens_total", "counter", "Prompt tokens of admitted answers.",
       [](const BackendStats& s) { return double(s.prompt_tokens); }},
      {"callie_cached_tokens_total", "counter", "Of them, those found in the prefix cache.",
       [](const BackendStats& s) { return double(s.cached_tokens); }},
      {"callie_output_tokens_total", "counter", "Generated tokens.",
       [](const BackendStats& s) { return double(s.output_tokens); }},
      {"callie_preemptions_total", "counter", "Answers put back for want of KV blocks.",
       [](const BackendStats& s) { return double(s.preemptions); }},
      {"callie_steps_total", "counter", "Steps.", [](const BackendStats& s) { return double(s.steps); }},
      {"callie_step_seconds_total", "counter", "Time in steps.", [](const BackendStats& s) { return s.step_s; }},
      {"callie_host_seconds_total", "counter", "Of it, time outside the model.",
       [](const BackendStats& s) { return s.host_s; }},
      {"callie_batch_sequences_total", "counter", "Sequences, summed over steps.",
       [](const BackendStats& s) { return double(s.batch_sequences); }},
      {"callie_batch_tokens_total", "counter", "Tokens computed, summed over steps.",
       [](const BackendStats& s) { return double(s.batch_tokens); }},
      {"callie_drafted_total", "counter", "Draft tokens verified.", [](const BackendStats& s) { return double(s.drafted); }},
      {"callie_accepted_total", "counter", "Draft tokens accepted.",
       [](const BackendStats& s) { return double(s.accepted); }},
  };
  for (const Column& column : kColumns) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", column.name, column.help, column.type);
    for (const ModelStats& model : models) {
      fmt::format_to(std::back_inserter(out), "{}{{model=\"{}\"}} {}\n", column.name, model.id,
                     column.value(model.stats));
    }
  }
  out += "# HELP callie_model_loaded Whether the model is in memory.\n# TYPE callie_model_loaded gauge\n";
  for (const ModelStats& model : models) {
    fmt::format_to(std::back_inserter(out), "callie_model_loaded{{model=\"{}\"}} {}\n", model.id, model.loaded ? 1 : 0);
  }
  out += ttft_.text("callie_ttft_seconds", "Time to first token, from arrival.");
  out += tpot_.text("callie_tpot_seconds", "Time per output token after the first.");
  out += e2e_.text("callie_e2e_seconds", "Time from arrival to the last token.");
  out += mask_.text("callie_mask_seconds", "Time that a constraint took for one token.");
  out += queue_.text("callie_queue_seconds", "Time from arrival to the first step.");
  return out;
}

}  // namespace callie::serve
