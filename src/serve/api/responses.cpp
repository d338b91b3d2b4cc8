// POST /v1/responses
#include <optional>

#include "serve/api/chat_prompt.h"
#include "serve/api/endpoints.h"
#include "serve/api/fields.h"
#include "serve/api/job.h"
#include "serve/api/validate.h"
#include "serve/response_store.h"

namespace callie::serve {
namespace {

/// Fields that a response repeats from its request.
struct Echo {
  Json instructions, previous_response_id, tools, tool_choice, text_format, metadata;
  double temperature = 0, top_p = 0;
  Json max_output_tokens;
  bool parallel_tool_calls = true, store = true;
};

class ResponsesFormat : public AnswerFormat {
 public:
  ResponsesFormat(const Call& call, Echo echo, Json messages)
      : backend_(call.backend),
        store_(call.context->store),
        echo_(std::move(echo)),
        messages_(std::move(messages)),
        id_(new_id("resp")),
        message_id_(new_id("msg")),
        created_(unix_time()) {}

  void begin(Exchange& exchange) override {
    streaming_ = true;
    event(exchange, "response.created", {{"response", response("in_progress", Json::array(), nullptr)}});
    event(exchange, "response.in_progress", {{"response", response("in_progress", Json::array(), nullptr)}});
  }

  void delta(Exchange& exchange, int, const AnswerDelta& delta, const std::vector<LoggedToken>&) override {
    if (!delta.content.empty()) {
      if (message_index_ < 0) open_message(exchange);
      event(exchange, "response.output_text.delta",
            {{"item_id", message_id_},
             {"output_index", message_index_},
             {"content_index", 0},
             {"delta", delta.content},
             {"logprobs", Json::array()}});
    }
    for (const ToolCallDelta& call : delta.calls) {
      if (static_cast<size_t>(call.index) >= calls_.size()) {
        calls_.push_back({new_id("fc"), new_id("call"), n_items_++});
        event(exchange, "response.output_item.added",
              {{"output_index", calls_.back().output_index},
               {"item", call_item(calls_.back(), {call.name, ""}, "in_progress")}});
      }
      if (call.arguments.empty()) continue;
      event(exchange, "response.function_call_arguments.delta",
            {{"item_id", calls_[call.index].id},
             {"output_index", calls_[call.index].output_index},
             {"delta", call.arguments}});
    }
  }

  void done(Exchange& exchange, const std::vector<Choice>& choices, const Usage& usage) override {
    const Choice& choice = choices[0];
    const Answer& answer = choice.answer;
    const bool complete = choice.finish_reason == "stop" || choice.finish_reason == "tool_calls";
    const char* status = complete ? "completed" : "incomplete";
    if (message_index_ < 0 && (!answer.content.empty() || answer.calls.empty())) {
      if (streaming_) {
        open_message(exchange);
      } else {
        message_index_ = n_items_++;
      }
    }
    while (calls_.size() < answer.calls.size()) calls_.push_back({new_id("fc"), new_id("call"), n_items_++});

    Json output = Json::array();
    for (int i = 0; i < n_items_; ++i) output.push_back(nullptr);
    if (message_index_ >= 0) {
      output[message_index_] = message_item(status, answer.content);
      if (streaming_) close_message(exchange, answer.content, output[message_index_]);
    }
    for (size_t i = 0; i < answer.calls.size(); ++i) {
      const Item& item = calls_[i];
      output[item.output_index] = call_item(item, answer.calls[i], status);
      if (!streaming_) continue;
      event(exchange, "response.function_call_arguments.done",
            {{"item_id", item.id},
             {"output_index", item.output_index},
             {"name", answer.calls[i].name},
             {"arguments", answer.calls[i].arguments}});
      event(exchange, "response.output_item.done",
            {{"output_index", item.output_index}, {"item", output[item.output_index]}});
    }
    Json counts = {{"input_tokens", usage.prompt_tokens},
                   {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
                   {"output_tokens", usage.output_tokens},
                   {"output_tokens_details", {{"reasoning_tokens", 0}}},
                   {"total_tokens", usage.prompt_tokens + usage.output_tokens}};
    Json whole = response(status, std::move(output), std::move(counts));
    if (!complete) {
      const bool length = choice.finish_reason == "length";
      whole["incomplete_details"] = {{"reason", length ? "max_output_tokens" : choice.finish_reason.c_str()}};
    }
    if (echo_.store && store_) keep(whole, answer);
    if (streaming_) {
      event(exchange, complete ? "response.completed" : "response.incomplete", {{"response", whole}});
    } else {
      exchange.respond(200, "application/json", dump(whole));
    }
  }

  void stream_error(Exchange& exchange, const std::string& json) override {
    const Json error = Json::parse(json)["error"];
    Json failed = response("failed", Json::array(), nullptr);
    failed["error"] = {{"code", "server_error"}, {"message", error["message"]}};
    event(exchange, "response.failed", {{"response", std::move(failed)}});
  }

 private:
  struct Item {
    std::string id, call_id;
    int output_index;
  };

  Json response(const char* status, Json output, Json usage) const {
    return {{"id", id_},
            {"object", "response"},
            {"created_at", created_},
            {"status", status},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", echo_.instructions},
            {"max_output_tokens", echo_.max_output_tokens},
            {"model", backend_->info().id},
            {"output", std::move(output)},
            {"parallel_tool_calls", echo_.parallel_tool_calls},
            {"previous_response_id", echo_.previous_response_id},
            {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
            {"store", echo_.store},
            {"temperature", echo_.temperature},
            {"text", {{"format", echo_.text_format}}},
            {"tool_choice", echo_.tool_choice},
            {"tools", echo_.tools},
            {"top_p", echo_.top_p},
            {"truncation", "disabled"},
            {"usage", std::move(usage)},
            {"user", nullptr},
            {"metadata", echo_.metadata}};
  }

  static Json text_part(const std::string& text) {
    return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
  }
  Json message_item(const char* status, const std::string& text) const {
    return {{"id", message_id_},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", Json::array({text_part(text)})}};
  }
  static Json call_item(const Item& item, const ToolCall& call, const char* status) {
    return {{"id", item.id},         {"type", "function_call"},       {"status", status},
            {"call_id", item.call_id}, {"name", call.name}, {"arguments", call.arguments}};
  }

  void event(Exchange& exchange, const char* type, Json fields) {
    Json json = {{"type", type}, {"sequence_number", sequence_++}};
    json.update(fields);
    send_event(exchange, dump(json), type);
  }

  void open_message(Exchange& exchange) {
    message_index_ = n_items_++;
    Json item = message_item("in_progress", "");
    item["content"] = Json::array();
    event(exchange, "response.output_item.added", {{"output_index", message_index_}, {"item", std::move(item)}});
    event(exchange, "response.content_part.added",
          {{"item_id", message_id_}, {"output_index", message_index_}, {"content_index", 0}, {"part", text_part("")}});
  }

  void close_message(Exchange& exchange, const std::string& text, const Json& item) {
    const Json place = {{"item_id", message_id_}, {"output_index", message_index_}, {"content_index", 0}};
    Json done = place;
    done["text"] = text;
    done["logprobs"] = Json::array();
    event(exchange, "response.output_text.done", std::move(done));
    Json part = place;
    part["part"] = text_part(text);
    event(exchange, "response.content_part.done", std::move(part));
    event(exchange, "response.output_item.done", {{"output_index", message_index_}, {"item", item}});
  }

  void keep(const Json& whole, const Answer& answer) {
    Json message = {{"role", "assistant"}, {"content", answer.content}};
    for (size_t i = 0; i < answer.calls.size(); ++i) {
      message["tool_calls"].push_back(
          {{"id", calls_[i].call_id},
           {"type", "function"},
           {"function", {{"name", answer.calls[i].name}, {"arguments", answer.calls[i].arguments}}}});
    }
    messages_.push_back(std::move(message));
    // A full disk must not take the answer away from the client.
    (void)store_->put(id_, {dump(whole), dump(messages_)}).ok();
  }

  std::shared_ptr<Backend> backend_;
  ResponseStore* store_;
  Echo echo_;
  Json messages_;
  std::string id_, message_id_;
  int64_t created_;
  bool streaming_ = false;
  int sequence_ = 0;
  int n_items_ = 0;
  int message_index_ = -1;
  std::vector<Item> calls_;
};

// `input` items as chat messages, appended to `messages`.
std::optional<ApiError> read_input(const Json& input, Json* messages) {
  if (input.is_string()) {
    messages->push_back({{"role", "user"}, {"content", input}});
    return std::nullopt;
  }
  if (!input.is_array() || input.empty()) return bad_field("input", "input: must be a string or an array of items");
  for (size_t i = 0; i < input.size(); ++i) {
    const Json& item = input[i];
    const std::string where = fmt::format("input[{}]", i);
    if (!item.is_object()) return bad_field(where, where + ": must be an object");
    const Json type_field = item.value("type", Json("message"));
    const std::string type = type_field.is_string() ? type_field.get<std::string>() : "";
    const auto text_of = [&](const char* key) {
      return item.contains(key) && item[key].is_string() ? item[key].get<std::string>() : std::string();
    };
    if (type == "message") {
      Json message = {{"role", item.value("role", Json())}, {"content", item.value("content", Json())}};
      messages->push_back(std::move(message));
    } else if (type == "function_call") {
      Json call = {{"id", text_of("call_id")},
                   {"type", "function"},
                   {"function", {{"name", text_of("name")}, {"arguments", text_of("arguments")}}}};
      if (!messages->empty() && messages->back()["role"] == "assistant") {
        messages->back()["tool_calls"].push_back(std::move(call));
      } else {
        messages->push_back({{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array({std::move(call)})}});
      }
    } else if (type == "function_call_output") {
      const Json output = item.value("output", Json());
      messages->push_back({{"role", "tool"}, {"tool_call_id", text_of("call_id")}, {"content", output}});
    } else if (type != "reasoning") {
      return bad_field(where + ".type", fmt::format("{}.type: '{}' is not supported", where, type));
    }
  }
  return std::nullopt;
}

Json flat_tools(const Json& tools) {
  Json out = Json::array();
  for (const Json& tool : tools) {
    Json one = {{"type", "function"}};
    one.update(tool["function"]);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

void responses(const Call& call) {
  Exchange& exchange = *call.exchange;
  Fields fields(call.body);
  fields.ignore({"model", "include", "reasoning", "stream_options"});
  fields.only("truncation", "disabled");
  fields.only("background", false);
  for (const char* absent : {"conversation", "prompt"}) {
    if (fields.has(absent)) fields.fail(absent, "is not supported");
  }
  Parameters p = read_parameters(fields, call.context->defaults, call.context->limits);
  if (p.n != 1) fields.fail("n", "must be 1");
  if (fields.has("stop")) fields.fail("stop", "is not part of responses");
  Echo echo;
  p.max_new = static_cast<int>(fields.integer("max_output_tokens", 0, 1, INT32_MAX));
  if (p.max_new > 0) echo.max_output_tokens = p.max_new;
  p.max_new = std::min(p.max_new, call.backend->info().context);
  ChatInput input;
  read_tools(fields, true, &input);
  input.template_kwargs = fields.object("chat_template_kwargs");
  Fields text(fields.object("text"), "text.");
  text.ignore({"verbosity"});
  const Json& format = text.object("format");
  const Constraint constraint = read_format(fields, format, "text.format", true);
  if (const auto error = text.finish()) fields.fail(*error);
  echo.text_format = format.is_null() ? Json{{"type", "text"}} : format;
  echo.store = fields.boolean("store", true);
  const std::string instructions = fields.text("instructions");
  const std::string previous = fields.text("previous_response_id");
  const Json& items = fields.any("input");
  const Json& metadata = fields.object("metadata");
  if (const auto error = fields.finish()) return respond_error(exchange, *error);

  Json conversation = Json::array();
  if (!previous.empty()) {
    const auto entry = call.context->store ? call.context->store->get(previous)
                                           : StatusOr<ResponseStore::Entry>(not_found("responses are not stored"));
    if (!entry.ok()) {
      return respond_error(exchange, {.status = 404,
                                      .message = fmt::format("previous_response_id: {}", entry.status().message()),
                                      .param = "previous_response_id",
                                      .code = "previous_response_not_found"});
    }
    conversation = Json::parse(entry->messages);
  }
  if (const auto error = read_input(items, &conversation)) return respond_error(exchange, *error);
  // Instructions hold for this response only; they do not become part of the conversation.
  Json messages = conversation;
  if (!instructions.empty()) messages.insert(messages.begin(), Json{{"role", "system"}, {"content", instructions}});
  if (const auto error = normalize_messages(messages, "input", &input.messages)) return respond_error(exchange, *error);
  ChatPrompt prompt;
  if (const auto error = build_prompt(*call.backend, input, "input", &prompt)) return respond_error(exchange, *error);
  const bool tools_active = prompt.parser.format != ToolFormat::kNone;
  if (constraint.kind != Constraint::Kind::kNone && tools_active) {
    return respond_error(exchange, bad_field("text.format", "text.format: cannot be combined with tools"));
  }
  p.constraint = tools_active ? prompt.constraint : constraint;

  if (!instructions.empty()) echo.instructions = instructions;
  if (!previous.empty()) echo.previous_response_id = previous;
  echo.tools = flat_tools(input.tools.is_null() ? Json::array() : input.tools);
  echo.tool_choice = input.tool_choice == "function" ? Json{{"type", "function"}, {"name", input.tool_name}}
                                                     : Json(input.tool_choice);
  echo.metadata = metadata.is_null() ? Json::object() : metadata;
  echo.temperature = p.sampling.temperature;
  echo.top_p = p.sampling.top_p;
  echo.parallel_tool_calls = input.parallel_calls;

  bool validate = false;
  auto mask = compile_constraint(*call.backend, p.constraint, *call.context->metrics, &validate);
  if (!mask.ok()) return respond_error(exchange, from_status(mask.status(), p.constraint.param));
  std::vector<AnswerRequest> requests;
  requests.push_back(make_request(p, std::move(prompt.tokens), 0, std::move(*mask)));
  requests.back().show_special = tools_active || prompt.parser.reasoning;
  std::unique_ptr<AnswerFormat> shape =
      std::make_unique<ResponsesFormat>(call, std::move(echo), std::move(conversation));
  if (validate) {
    shape = validating(std::move(shape), tools_active ? calls_match(input.tools) : content_matches(p.constraint.source),
                       *call.context->metrics);
  }
  Job::start(call.exchange, call.backend, std::move(requests), {.stream = p.stream, .parser = prompt.parser},
             std::move(shape), *call.context->metrics);
}

}  // namespace callie::serve
