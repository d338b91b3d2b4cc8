// POST /v1/responses
#include <algorithm>
#include <optional>

#include "serve/api/chat_prompt.h"
#include "serve/api/endpoints.h"
#include "serve/api/fields.h"
#include "serve/api/job.h"
#include "serve/api/responses_format.h"
#include "serve/api/validate.h"
#include "serve/response_store.h"

namespace callie::serve {
namespace {

bool has_call(const Json& messages, const std::string& id) {
  for (const Json& message : messages) {
    for (const Json& call : message.value("tool_calls", Json::array())) {
      if (call["id"] == id) return true;
    }
  }
  return false;
}

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
      const std::string id = text_of("call_id");
      if (!has_call(*messages, id)) {
        return bad_field(where + ".call_id", fmt::format("{}.call_id: there is no call '{}' before it", where, id));
      }
      messages->push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", output}});
    } else if (type != "reasoning") {
      return bad_field(where + ".type", fmt::format("{}.type: '{}' is not supported", where, type));
    }
  }
  return std::nullopt;
}

// The shortest decimal number that is this float: 0.95, not 0.949999988079071.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

Json flat_tools(const Json& tools) {
  Json out = Json::array();
  for (const Json& tool : tools) {
    Json one = {{"type", "function"}};
    one.update(tool["function"]);
    out.push_back(std::move(one));
  }
  return out;
}

// Whether `include` asks for log-probabilities. What else the API knows of belongs to tools that are not there.
bool read_include(Fields& fields) {
  static constexpr std::string_view kLogprobs = "message.output_text.logprobs";
  static constexpr std::string_view kKnown[] = {kLogprobs,
                                                "reasoning.encrypted_content",
                                                "file_search_call.results",
                                                "web_search_call.results",
                                                "web_search_call.action.sources",
                                                "message.input_image.image_url",
                                                "computer_call_output.output.image_url",
                                                "code_interpreter_call.outputs"};
  bool logprobs = false;
  for (const Json& one : fields.array("include")) {
    if (!one.is_string() || std::find(std::begin(kKnown), std::end(kKnown), one.get<std::string>()) == std::end(kKnown)) {
      fields.fail("include", one.dump() + " is not supported");
      return false;
    }
    logprobs |= one == std::string(kLogprobs);
  }
  return logprobs;
}

}  // namespace

void responses(const Call& call) {
  Exchange& exchange = *call.exchange;
  Fields fields(call.body);
  fields.ignore({"model"});
  fields.only("truncation", "disabled");
  fields.only("background", false);
  for (const char* absent : {"conversation", "prompt"}) {
    if (fields.has(absent)) fields.fail(absent, "is not supported");
  }
  Parameters p = read_parameters(fields, call.context->defaults, call.context->limits);
  if (p.n != 1) fields.fail("n", "must be 1");
  if (fields.has("stop")) fields.fail("stop", "is not part of responses");
  ResponseEcho echo;
  echo.temperature = fields.number("temperature", shortest(p.sampling.temperature), 0, 2);
  echo.top_p = fields.number("top_p", shortest(p.sampling.top_p), 0, 1);
  echo.user = fields.any("user");
  echo.reasoning = {{"effort", nullptr}, {"summary", nullptr}};
  if (const Json& reasoning = fields.object("reasoning"); !reasoning.is_null()) echo.reasoning.update(reasoning);
  const int64_t max_calls = fields.integer("max_tool_calls", 0, 1, INT32_MAX);  // of tools that the server runs: none
  if (max_calls > 0) echo.max_tool_calls = max_calls;
  echo.top_logprobs = static_cast<int>(fields.integer("top_logprobs", 0, 0, call.context->limits.max_top_logprobs));
  const bool logprobs = read_include(fields) || echo.top_logprobs > 0;
  if (logprobs) p.top_logprobs = echo.top_logprobs;
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
  if (const auto error = combine_constraints(constraint, prompt, &p)) return respond_error(exchange, *error);

  if (!instructions.empty()) echo.instructions = instructions;
  if (!previous.empty()) echo.previous_response_id = previous;
  echo.tools = flat_tools(input.tools.is_null() ? Json::array() : input.tools);
  echo.tool_choice = input.tool_choice == "function" ? Json{{"type", "function"}, {"name", input.tool_name}}
                                                     : Json(input.tool_choice);
  echo.metadata = metadata.is_null() ? Json::object() : metadata;
  echo.parallel_tool_calls = input.parallel_calls;

  bool validate = false;
  auto mask = compile_constraint(*call.backend, p.constraint, *call.context->metrics, &validate);
  if (!mask.ok()) {
    return respond_error(exchange, constraint_error(*call.backend, p.constraint, input.tools, true, mask.status()));
  }
  std::vector<AnswerRequest> requests;
  requests.push_back(make_request(p, std::move(prompt.tokens), 0, std::move(*mask)));
  requests.back().show_special = tools_active || prompt.parser.reasoning;
  std::unique_ptr<AnswerFormat> shape =
      std::make_unique<ResponsesFormat>(call, std::move(echo), std::move(conversation), logprobs);
  if (validate) {
    shape = validating(std::move(shape), tools_active ? calls_match(input.tools) : content_matches(p.constraint.source),
                       *call.context->metrics);
  }
  Job::start(call.exchange, call.backend, std::move(requests), {.stream = p.stream, .parser = prompt.parser},
             std::move(shape), *call.context->metrics);
}

}  // namespace callie::serve
