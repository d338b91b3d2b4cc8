#include "serve/api/chat_prompt.h"

#include <algorithm>

#include "chat/grammar.h"
#include "chat/template.h"
#include "serve/api/fields.h"
#include "tokenizer/tokenizer.h"

namespace callie::serve {
namespace {

// A string, or an array of text parts, as one string.
std::optional<ApiError> flatten_content(const Json& content, const std::string& param, std::string* out) {
  if (content.is_string()) {
    *out = content.get<std::string>();
    return std::nullopt;
  }
  if (!content.is_array()) return bad_field(param, param + ": must be a string or an array of parts");
  for (size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    const std::string where = fmt::format("{}[{}]", param, i);
    if (!part.is_object() || !part.contains("type") || !part["type"].is_string()) {
      return bad_field(where, where + ": must be an object with a type");
    }
    const std::string type = part["type"].get<std::string>();
    const bool refusal = type == "refusal";
    if (type != "text" && type != "input_text" && type != "output_text" && !refusal) {
      return bad_field(where, fmt::format("{}: this model takes text only, not '{}'", where, type));
    }
    const char* key = refusal ? "refusal" : "text";
    if (!part.contains(key) || !part[key].is_string()) {
      return bad_field(where + "." + key, fmt::format("{}.{}: must be a string", where, key));
    }
    *out += part[key].get<std::string>();
  }
  return std::nullopt;
}

std::optional<ApiError> normalize_calls(const Json& calls, const std::string& param, Json* out) {
  if (!calls.is_array()) return bad_field(param, param + ": must be an array");
  *out = Json::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string where = fmt::format("{}[{}].function", param, i);
    const Json& call = calls[i];
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object() ||
        !call["function"].contains("name") || !call["function"]["name"].is_string()) {
      return bad_field(where, where + ": must have a name");
    }
    Json copy = {{"type", "function"},
                 {"function", {{"name", call["function"]["name"]}, {"arguments", Json::object()}}}};
    if (call.contains("id")) copy["id"] = call["id"];
    if (call["function"].contains("arguments")) {
      Json arguments = call["function"]["arguments"];
      if (arguments.is_string()) {
        Json parsed = Json::parse(arguments.get<std::string>(), nullptr, false);
        if (!parsed.is_discarded()) arguments = std::move(parsed);
      }
      copy["function"]["arguments"] = std::move(arguments);
    }
    out->push_back(std::move(copy));
  }
  return std::nullopt;
}

}  // namespace

std::optional<ApiError> normalize_messages(const Json& messages, const std::string& param, Json* out) {
  if (!messages.is_array() || messages.empty()) return bad_field(param, param + ": must be an array that is not empty");
  *out = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string where = fmt::format("{}[{}]", param, i);
    const Json& message = messages[i];
    if (!message.is_object()) return bad_field(where, where + ": must be an object");
    const auto role_at = message.find("role");
    if (role_at == message.end() || !role_at->is_string()) return bad_field(where + ".role", where + ".role: is missing");
    std::string role = role_at->get<std::string>();
    static constexpr const char* kRoles[] = {"system", "developer", "user", "assistant", "tool", "function"};
    if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles)) {
      return bad_field(where + ".role", fmt::format("{}.role: '{}' is not a role", where, role));
    }
    if (role == "developer") role = "system";
    if (role == "function") role = "tool";
    Json copy = {{"role", role}};
    const auto content = message.find("content");
    const bool has_content = content != message.end() && !content->is_null();
    const auto calls = message.find("tool_calls");
    const bool has_calls = calls != message.end() && !calls->is_null();
    if (!has_content && !(role == "assistant" && has_calls)) {
      return bad_field(where + ".content", where + ".content: is missing");
    }
    std::string text;
    if (has_content) {
      if (auto error = flatten_content(*content, where + ".content", &text)) return error;
    }
    copy["content"] = text;
    if (has_calls) {
      if (role != "assistant") return bad_field(where + ".tool_calls", where + ".tool_calls: only of the assistant");
      Json normalized;
      if (auto error = normalize_calls(*calls, where + ".tool_calls", &normalized)) return error;
      copy["tool_calls"] = std::move(normalized);
    }
    for (const char* key : {"name", "tool_call_id", "reasoning_content"}) {
      const auto value = message.find(key);
      if (value == message.end() || value->is_null()) continue;
      if (!value->is_string()) return bad_field(where + "." + key, fmt::format("{}.{}: must be a string", where, key));
      copy[key] = *value;
    }
    out->push_back(std::move(copy));
  }
  return std::nullopt;
}

void read_tools(Fields& fields, bool flat, ChatInput* input) {
  const Json& tools = fields.array("tools");
  if (!tools.is_null() && !tools.empty()) {
    input->tools = Json::array();
    for (size_t i = 0; i < tools.size(); ++i) {
      const std::string where = fmt::format("tools[{}]", i);
      const Json& tool = tools[i];
      if (!tool.is_object() || !tool.contains("type") || tool["type"] != "function") {
        return fields.fail(where + ".type", "only 'function' tools are supported");
      }
      const Json function = flat ? tool : tool.contains("function") ? tool["function"] : Json();
      if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
        return fields.fail(where, "must be a function with a name");
      }
      Json inner;
      for (const char* key : {"name", "description", "parameters", "strict"}) {
        if (function.contains(key) && !function[key].is_null()) inner[key] = function[key];
      }
      // A function without parameters takes none.
      if (!inner.contains("parameters")) {
        inner["parameters"] = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
      }
      if (!inner["parameters"].is_object()) {
        return fields.fail(where + (flat ? ".parameters" : ".function.parameters"), "must be a JSON schema");
      }
      input->tools.push_back({{"type", "function"}, {"function", std::move(inner)}});
    }
  }
  input->parallel_calls = fields.boolean("parallel_tool_calls", true);
  const Json& choice = fields.any("tool_choice");
  if (choice.is_string()) {
    input->tool_choice = choice.get<std::string>();
    if (input->tool_choice != "auto" && input->tool_choice != "none" && input->tool_choice != "required") {
      fields.fail("tool_choice", "must be 'auto', 'none', 'required' or name a function");
    }
  } else if (choice.is_object()) {
    const Json& function = flat ? choice : choice.contains("function") ? choice["function"] : choice;
    if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
      return fields.fail("tool_choice", "must name a function");
    }
    input->tool_choice = "function";
    input->tool_name = function["name"].get<std::string>();
    const auto named = [input](const Json& tool) { return tool["function"]["name"] == input->tool_name; };
    if (!input->tools.is_null() && std::none_of(input->tools.begin(), input->tools.end(), named)) {
      fields.fail("tool_choice", fmt::format("there is no tool '{}'", input->tool_name));
    }
  } else if (!choice.is_null()) {
    fields.fail("tool_choice", "must be a string or an object");
  }
  if (input->tools.is_null() && (input->tool_choice == "required" || input->tool_choice == "function")) {
    fields.fail("tool_choice", "needs 'tools'");
  }
}

std::optional<ApiError> combine_constraints(const Constraint& format, const ChatPrompt& prompt, Parameters* parameters) {
  using enum Constraint::Kind;
  const auto refuse = [](const std::string& param, const std::string& other) {
    return bad_field(param, fmt::format("{}: cannot be combined with {}", param, other));
  };
  Constraint& constraint = parameters->constraint;
  if (format.kind != kNone && prompt.parser.format != ToolFormat::kNone) return refuse(format.param, "tools");
  for (const Constraint* more : {&format, &prompt.constraint}) {
    if (more->kind == kNone) continue;
    if (constraint.kind != kNone) return refuse(more->param, constraint.param);
    constraint = *more;
  }
  if (constraint.kind != kNone && parameters->ignore_eos) return refuse("ignore_eos", constraint.param);
  return std::nullopt;
}

ApiError constraint_error(Backend& backend, const Constraint& constraint, const Json& tools, bool flat, const Status& status) {
  const auto compiler = backend.grammars();
  if (constraint.param == "tool_choice" && compiler.ok()) {
    for (size_t i = 0; i < tools.size(); ++i) {
      const auto alone = (*compiler)->compile(GrammarCompiler::Kind::kJsonSchema, tools[i]["function"]["parameters"].dump());
      if (!alone.ok()) return from_status(alone.status(), fmt::format("tools[{}].{}parameters", i, flat ? "" : "function."));
    }
  }
  return from_status(status, constraint.param);
}

ApiError context_exceeded(const Backend& backend, size_t n_tokens, const std::string& param) {
  ApiError error = bad_field(param, fmt::format("{}: {} tokens do not fit into the context of {} tokens", param, n_tokens,
                                                backend.info().context));
  error.code = "context_length_exceeded";
  return error;
}

std::optional<ApiError> build_prompt(const Backend& backend, const ChatInput& input, const std::string& param,
                                     ChatPrompt* out) {
  const ChatTemplate* chat = backend.chat_template();
  if (!chat) {
    return bad_field("model", fmt::format("model: {} has no chat template; use /v1/completions", backend.info().id));
  }
  const bool with_tools = !input.tools.is_null() && input.tool_choice != "none";
  TemplateInput inputs;
  inputs.messages = &input.messages;
  if (with_tools) inputs.tools = &input.tools;
  if (!input.template_kwargs.is_null()) inputs.extra = &input.template_kwargs;
  const auto text = chat->render(inputs);
  if (!text.ok()) return from_status(text.status(), param);
  auto tokens = backend.tokenizer().encode(*text, {.parse_special = true, .lossy = true});
  if (!tokens.ok()) return from_status(tokens.status(), param);
  out->tokens = std::move(*tokens);
  if (out->tokens.size() >= static_cast<size_t>(backend.info().context)) {
    return context_exceeded(backend, out->tokens.size(), param);
  }
  out->parser.reasoning = chat->supports_thinking() || text->ends_with("<think>\n") || text->ends_with("<think>");
  out->parser.starts_in_reasoning = text->ends_with("<think>\n") || text->ends_with("<think>");
  if (!with_tools) return std::nullopt;
  if (!chat->supports_tools()) {
    return bad_field("tools", fmt::format("tools: the chat template of {} knows no tools", backend.info().id));
  }
  out->parser.format = detect_tool_format(chat->source());
  out->parser.parallel = input.parallel_calls;
  for (const Json& tool : input.tools) out->parser.tools.push_back(tool["function"]["name"].get<std::string>());
  if (input.tool_choice == "required" || input.tool_choice == "function") {
    auto grammar = tool_choice_grammar(out->parser.format, input.tools, input.tool_name, input.parallel_calls);
    if (!grammar.ok()) return from_status(grammar.status(), "tool_choice");
    out->constraint = {Constraint::Kind::kLark, std::move(*grammar), "tool_choice"};
  }
  return std::nullopt;
}

}  // namespace callie::serve
