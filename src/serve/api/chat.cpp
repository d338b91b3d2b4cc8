// POST /v1/chat/completions
#include "serve/api/chat_prompt.h"
#include "serve/api/endpoints.h"
#include "serve/api/fields.h"
#include "serve/api/job.h"
#include "serve/api/logprobs.h"
#include "serve/api/validate.h"
#include "serve/metrics.h"

namespace callie::serve {
namespace {

Json call_json(const ToolCall& call, const std::string& id) {
  return {{"id", id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

class ChatFormat : public AnswerFormat {
 public:
  ChatFormat(const Call& call, const Parameters& parameters, bool logprobs)
      : backend_(call.backend),
        id_(new_id("chatcmpl-")),
        created_(unix_time()),
        n_(parameters.n),
        include_usage_(parameters.include_usage),
        logprobs_(logprobs) {}

  void begin(Exchange& exchange) override {
    for (int i = 0; i < n_; ++i) chunk(exchange, i, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr);
  }

  void delta(Exchange& exchange, int index, const AnswerDelta& delta, const std::vector<LoggedToken>& tokens) override {
    Json json = Json::object();
    if (!delta.reasoning.empty()) json["reasoning_content"] = delta.reasoning;
    if (!delta.content.empty()) json["content"] = delta.content;
    for (const ToolCallDelta& call : delta.calls) {
      Json one = {{"index", call.index}};
      if (!call.name.empty()) {
        one["id"] = new_id("call_");
        one["type"] = "function";
        one["function"] = {{"name", call.name}, {"arguments", call.arguments}};
      } else {
        one["function"] = {{"arguments", call.arguments}};
      }
      json["tool_calls"].push_back(std::move(one));
    }
    chunk(exchange, index, std::move(json), logprobs_ ? chat_logprobs(tokens, backend_->tokenizer()) : Json(), nullptr);
  }

  void choice_done(Exchange& exchange, const Choice& choice) override {
    chunk(exchange, choice.index, Json::object(), nullptr, choice.finish_reason);
  }

  void done(Exchange& exchange, const std::vector<Choice>& choices, const Usage& usage) override {
    const Json counts = usage_json(usage);
    if (streaming_) {
      if (include_usage_) {
        Json json = head("chat.completion.chunk");
        json["choices"] = Json::array();
        json["usage"] = counts;
        send_event(exchange, dump(json));
      }
      exchange.write("data: [DONE]\n\n");
      return;
    }
    Json json = head("chat.completion");
    json["choices"] = Json::array();
    for (const Choice& choice : choices) {
      const Answer& answer = choice.answer;
      Json message = {{"role", "assistant"}, {"content", answer.content}, {"refusal", nullptr}};
      if (answer.content.empty() && !answer.calls.empty()) message["content"] = nullptr;
      if (!answer.reasoning.empty()) message["reasoning_content"] = answer.reasoning;
      for (const ToolCall& call : answer.calls) message["tool_calls"].push_back(call_json(call, new_id("call_")));
      json["choices"].push_back({{"index", choice.index},
                                 {"message", std::move(message)},
                                 {"logprobs", logprobs_ ? chat_logprobs(choice.tokens, backend_->tokenizer()) : Json()},
                                 {"finish_reason", choice.finish_reason}});
    }
    json["usage"] = counts;
    exchange.respond(200, "application/json", dump(json));
  }

 private:
  Json head(const char* object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", backend_->info().id},
            {"system_fingerprint", backend_->info().fingerprint}};
  }
  void chunk(Exchange& exchange, int index, Json delta, Json logprobs, Json finish_reason) {
    streaming_ = true;
    Json json = head("chat.completion.chunk");
    json["choices"] = Json::array({{{"index", index},
                                    {"delta", std::move(delta)},
                                    {"logprobs", std::move(logprobs)},
                                    {"finish_reason", std::move(finish_reason)}}});
    if (include_usage_) json["usage"] = nullptr;
    send_event(exchange, dump(json));
  }

  std::shared_ptr<Backend> backend_;
  std::string id_;
  int64_t created_;
  int n_;
  bool include_usage_, logprobs_, streaming_ = false;
};

}  // namespace

void chat_completions(const Call& call) {
  Exchange& exchange = *call.exchange;
  Fields fields(call.body);
  fields.ignore({"model", "reasoning_effort", "prediction"});
  fields.only("modalities", Json::array({"text"}));
  Parameters p = read_parameters(fields, call.context->defaults, call.context->limits);
  const int64_t context = call.backend->info().context;
  p.max_new = static_cast<int>(fields.integer("max_tokens", 0, 0, INT32_MAX));
  p.max_new = static_cast<int>(fields.integer("max_completion_tokens", p.max_new, 1, INT32_MAX));
  if (fields.has("max_tokens") && p.max_new == 0) fields.fail("max_tokens", "must be at least 1");
  const bool logprobs = fields.boolean("logprobs", false);
  p.top_logprobs = static_cast<int>(fields.integer("top_logprobs", 0, 0, call.context->limits.max_top_logprobs));
  if (!logprobs) {
    if (fields.has("top_logprobs")) fields.fail("top_logprobs", "needs 'logprobs': true");
    p.top_logprobs = -1;
  }
  ChatInput input;
  read_tools(fields, false, &input);
  input.template_kwargs = fields.object("chat_template_kwargs");
  const Constraint format = read_format(fields, fields.object("response_format"), "response_format", false);
  const Json& messages = fields.any("messages");
  if (const auto error = fields.finish()) return respond_error(exchange, *error);
  if (const auto error = normalize_messages(messages, "messages", &input.messages)) return respond_error(exchange, *error);

  ChatPrompt prompt;
  if (const auto error = build_prompt(*call.backend, input, "messages", &prompt)) return respond_error(exchange, *error);
  const bool tools_active = prompt.parser.format != ToolFormat::kNone;
  if (const auto error = combine_constraints(format, prompt, &p)) return respond_error(exchange, *error);
  if (p.max_new > context) p.max_new = static_cast<int>(context);

  bool validate = false;
  std::vector<AnswerRequest> requests;
  for (int i = 0; i < p.n; ++i) {
    auto mask = compile_constraint(*call.backend, p.constraint, *call.context->metrics, &validate);
    if (!mask.ok()) {
      return respond_error(exchange, constraint_error(*call.backend, p.constraint, input.tools, false, mask.status()));
    }
    requests.push_back(make_request(p, prompt.tokens, i, std::move(*mask)));
    requests.back().show_special = tools_active || prompt.parser.reasoning;
  }
  std::unique_ptr<AnswerFormat> shape = std::make_unique<ChatFormat>(call, p, logprobs);
  if (validate) {
    shape = validating(std::move(shape), tools_active ? calls_match(input.tools) : content_matches(p.constraint.source),
                       *call.context->metrics);
  }
  Job::start(call.exchange, call.backend, std::move(requests), {.stream = p.stream, .parser = prompt.parser},
             std::move(shape), *call.context->metrics);
}

}  // namespace callie::serve
