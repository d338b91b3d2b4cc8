#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "assertions/ask/ask.h"
#include "chat/template.h"
#include "cli/assert_commands.h"
#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/progress.h"
#include "decode/generate.h"
#include "decode/speculative/strategy.h"
#include "io/http_json.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  ModelOptions model;
  ContextOptions context;
  std::string data, answers, examples, name, api_key;
  int few_shot = 0, concurrency = 8, limit = 0;
  int64_t max_tokens = 512;
  double temperature = -1;
  AskOptions ask;
};

Json to_messages(const std::vector<ChatTurn>& turns) {
  Json out = Json::array();
  for (const ChatTurn& turn : turns) out.push_back({{"role", turn.role}, {"content", turn.text}});
  return out;
}

/// The model in this process, one answer after the other.
class LocalAnswerer : public Answerer {
 public:
  static StatusOr<std::unique_ptr<Answerer>> create(const Options& options, double temperature, ThreadPool& pool) {
    auto out = std::make_unique<LocalAnswerer>(options, temperature);
    Context context{&pool};
    CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
    CALLIE_ASSIGN_OR_RETURN(const SessionOptions session_options, options.context.session_options());
    CALLIE_ASSIGN_OR_RETURN(out->session_, Session::create(model, session_options, pool));
    return std::unique_ptr<Answerer>(std::move(out));
  }
  LocalAnswerer(const Options& options, double temperature) : max_tokens_(options.max_tokens), temperature_(temperature) {}

  StatusOr<std::string> answer(const std::vector<ChatTurn>& turns, uint64_t seed) override {
    const Tokenizer& tokenizer = session_->model().tokenizer();
    CALLIE_ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::from_tokenizer(tokenizer));
    const Json messages = to_messages(turns);
    CALLIE_ASSIGN_OR_RETURN(const std::string text, chat.render({.messages = &messages}));
    CALLIE_ASSIGN_OR_RETURN(const auto prompt, tokenizer.encode(text, {.parse_special = true}));
    SamplingOptions sampling;
    sampling.temperature = static_cast<float>(temperature_);
    sampling.seed = seed;
    Sampler sampler(sampling);
    const auto strategy = decode::make_strategy(*session_, sampler, nullptr, nullptr);
    decode::GenerateOptions generate_options;
    generate_options.max_new = max_tokens_;
    CALLIE_ASSIGN_OR_RETURN(const decode::Generation result, decode::generate(*session_, *strategy, prompt, generate_options));
    if (result.finish_reason == decode::FinishReason::kCancelled) return Status(StatusCode::kCancelled, "stopped");
    return result.text;
  }
  int concurrency() const override { return 1; }

 private:
  int64_t max_tokens_;
  double temperature_;
  std::unique_ptr<Session> session_;
};

/// An OpenAI endpoint.
class RemoteAnswerer : public Answerer {
 public:
  static StatusOr<std::unique_ptr<Answerer>> create(const Options& options, double temperature) {
    auto out = std::make_unique<RemoteAnswerer>(options, temperature);
    while (out->url_.ends_with('/')) out->url_.pop_back();
    if (!out->url_.ends_with("/v1")) out->url_ += "/v1";
    if (out->name_.empty()) {
      CALLIE_ASSIGN_OR_RETURN(const Json models, io::http_json(out->url_ + "/models", nullptr, out->http_));
      if (!models.is_object() || !models.contains("data") || models["data"].empty() || !models["data"][0].contains("id")) {
        return data_loss("{}/models: no models", out->url_);
      }
      out->name_ = models["data"][0]["id"].get<std::string>();
    }
    return std::unique_ptr<Answerer>(std::move(out));
  }
  RemoteAnswerer(const Options& options, double temperature)
      : url_(options.model.model), name_(options.name), max_tokens_(options.max_tokens), temperature_(temperature), concurrency_(options.concurrency) {
    http_.api_key = options.api_key;
  }

  StatusOr<std::string> answer(const std::vector<ChatTurn>& turns, uint64_t seed) override {
    const Json body{{"model", name_}, {"messages", to_messages(turns)}, {"max_tokens", max_tokens_}, {"temperature", temperature_}, {"seed", seed}};
    CALLIE_ASSIGN_OR_RETURN(const Json reply, io::http_json(url_ + "/chat/completions", body, http_));
    const Json* content = nullptr;
    if (reply.is_object() && reply.contains("choices") && reply["choices"].is_array() && !reply["choices"].empty() &&
        reply["choices"][0].contains("message") && reply["choices"][0]["message"].contains("content")) {
      content = &reply["choices"][0]["message"]["content"];
    }
    if (!content) return data_loss("{}: the reply holds no message", url_);
    return content->is_string() ? content->get<std::string>() : std::string();
  }
  int concurrency() const override { return concurrency_; }

 private:
  std::string url_, name_;
  int64_t max_tokens_;
  double temperature_;
  int concurrency_;
  io::HttpOptions http_;
};

// Answers of an earlier run; a line that was cut off is dropped from the file.
StatusOr<std::vector<AnswerLine>> earlier_answers(const std::string& path) {
  if (!std::filesystem::exists(path)) return std::vector<AnswerLine>();
  CALLIE_ASSIGN_OR_RETURN(std::string text, read_text_file(path));
  if (!text.empty() && text.back() != '\n') {
    text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
    std::error_code problem;
    std::filesystem::resize_file(path, text.size(), problem);
    if (problem) return invalid_argument("{}: {}", path, problem.message());
  }
  return parse_answers(path, text);
}

Status run(Options options) {
  install_interrupt_handler();
  CALLIE_ASSIGN_OR_RETURN(std::vector<Task> tasks, read_tasks(options.data));
  if (options.limit > 0 && tasks.size() > static_cast<size_t>(options.limit)) tasks.resize(options.limit);
  if (options.few_shot > 0 && options.examples.empty()) {
    options.ask.examples = built_in_examples();
    if (options.few_shot > static_cast<int>(options.ask.examples.size())) {
      return invalid_argument("--few-shot: there are {} examples; --examples FILE gives others", options.ask.examples.size());
    }
  } else if (options.few_shot > 0) {
    CALLIE_ASSIGN_OR_RETURN(const std::vector<Task> from, read_tasks(options.examples));
    for (const Task& task : from) options.ask.examples.push_back(example_of(task));
  }
  options.ask.examples.resize(std::min<size_t>(options.ask.examples.size(), static_cast<size_t>(options.few_shot)));
  CALLIE_ASSIGN_OR_RETURN(const std::vector<AnswerLine> earlier, earlier_answers(options.answers));
  std::set<std::pair<std::string, int>> done;
  for (const AnswerLine& answer : earlier) done.emplace(answer.id, answer.sample);

  const double temperature = options.temperature >= 0 ? options.temperature : options.ask.samples > 1 ? 0.8 : 0.0;
  ThreadPool pool(options.model.thread_count());
  const bool remote = options.model.model.starts_with("http://") || options.model.model.starts_with("https://");
  auto created = remote ? RemoteAnswerer::create(options, temperature) : LocalAnswerer::create(options, temperature, pool);
  if (!created.ok()) return created.status();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(options.answers.c_str(), "a"), std::fclose);
  if (!file) return invalid_argument("-o: {} cannot be written", options.answers);
  Progress progress("asking", static_cast<int64_t>(tasks.size()) * options.ask.samples, "answers");
  int64_t count = static_cast<int64_t>(done.size());
  progress.update(count);
  const Status status = ask_all(tasks, done, options.ask, **created, [&](const Asked& asked) -> Status {
    Json line = Json::parse(write_answer(asked.answer));
    line["rounds"] = asked.earlier.size();
    line["earlier"] = asked.earlier;
    const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() || std::fflush(file.get()) != 0) {
      return resource_exhausted("{}: cannot be written", options.answers);
    }
    progress.update(++count);
    return ok_status();
  });
  progress.finish();
  return status;
}

}  // namespace

void add_assert_ask(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("ask", "Let a model write assertions for a data set");
  command->add_option("MODEL", options->model.model, "A model, or the URL of an OpenAI endpoint")->required();
  command->add_option("--data", options->data, "The data set, as for `score --reference`")->required();
  command->add_option("-o,--output", options->answers, "JSON lines of answers; answers that are there are kept")->required();
  command->add_option("-k", options->ask.samples, "Answers to each task")->check(CLI::Range(1, 1000))->capture_default_str();
  command->add_option("--few-shot", options->few_shot, "Solved examples before the question")->check(CLI::Range(0, 32));
  command->add_option("--examples", options->examples, "A data set to take the examples from (default: four of our own)");
  command->add_option("--repair", options->ask.repair_rounds, "Rounds in which the judge's findings are sent back")->check(CLI::Range(0, 10));
  command->add_option("--limit", options->limit, "Only the first so many tasks")->check(positive_number());
  command->add_option("-n,--max-tokens", options->max_tokens, "Tokens of an answer at most")->check(positive_number())->capture_default_str();
  command->add_option("--temp", options->temperature, "Temperature (default: 0, and 0.8 for several answers)")->check(non_negative_number());
  command->add_option("--seed", options->ask.seed, "Seed of sampling")->capture_default_str();
  command->add_option("--concurrency", options->concurrency, "Requests at once to an endpoint")->check(CLI::Range(1, 256))->capture_default_str();
  command->add_option("--model-name", options->name, "Model of the endpoint (default: its first)");
  command->add_option("--api-key", options->api_key, "Key of the endpoint")->envname("OPENAI_API_KEY");
  command->add_option("--threads", options->model.threads, "Threads of a model in this process")->check(CLI::Range(1, 1024));
  options->context.add_to(*command);
  command->footer("Example: callie assert ask http://127.0.0.1:8080 --data test.jsonl --few-shot 4 -o answers.jsonl");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
