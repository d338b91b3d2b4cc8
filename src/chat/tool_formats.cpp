#include "chat/tool_formats.h"

#include "chat/rust_api.h"
#include "core/json.h"

namespace callie {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::string_view(" \t\r\n").find(text.front()) != std::string_view::npos) text.remove_prefix(1);
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return text;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// {"name": …, "arguments" or "parameters": an object, or its JSON text}.
std::optional<ToolCall> from_object(const Json& json) {
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) return std::nullopt;
  for (const char* key : {"arguments", "parameters"}) {
    if (!json.contains(key)) continue;
    const Json& arguments = json[key];
    return ToolCall{json["name"].get<std::string>(), arguments.is_string() ? arguments.get<std::string>() : dump(arguments)};
  }
  return std::nullopt;
}

std::optional<std::vector<ToolCall>> from_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  std::vector<ToolCall> calls;
  if (json.is_array()) {
    for (const Json& one : json) {
      std::optional<ToolCall> call = from_object(one);
      if (!call) return std::nullopt;
      calls.push_back(std::move(*call));
    }
  } else if (std::optional<ToolCall> call = from_object(json)) {
    calls.push_back(std::move(*call));
  }
  if (calls.empty()) return std::nullopt;
  return calls;
}

/// <function=NAME> <parameter=P> value </parameter> … </function>
std::optional<std::vector<ToolCall>> from_xml(std::string_view text) {
  constexpr std::string_view kFunction = "<function=", kParameter = "<parameter=", kEnd = "</parameter>";
  if (!text.starts_with(kFunction) || !text.ends_with("</function>")) return std::nullopt;
  text.remove_prefix(kFunction.size());
  const size_t name_end = text.find('>');
  if (name_end == std::string_view::npos) return std::nullopt;
  ToolCall call{std::string(text.substr(0, name_end)), ""};
  Json arguments = Json::object();
  size_t at = name_end + 1;
  for (size_t found; (found = text.find(kParameter, at)) != std::string_view::npos;) {
    const size_t key = found + kParameter.size();
    const size_t close = text.find('>', key);
    const size_t end = close == std::string_view::npos ? close : text.find(kEnd, close);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view value = text.substr(close + 1, end - close - 1);
    if (value.starts_with('\n')) value.remove_prefix(1);
    if (value.ends_with('\n')) value.remove_suffix(1);
    const Json parsed = Json::parse(value, nullptr, false);
    arguments[std::string(text.substr(key, close - key))] = parsed.is_discarded() ? Json(std::string(value)) : parsed;
    at = end + kEnd.size();
  }
  call.arguments = dump(arguments);
  return std::vector<ToolCall>{std::move(call)};
}

/// The end of the JSON value that begins `text`, by its brackets; npos where it does not end.
size_t json_end(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth <= 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

/// [{"name": …}, …], or NAME[ARGS]{…} once or several times, with or without the mark between them.
std::optional<std::vector<ToolCall>> from_mistral(std::string_view text) {
  constexpr std::string_view kMark = "[TOOL_CALLS]", kArgs = "[ARGS]";
  if (text.starts_with('[') && !text.starts_with(kMark)) return from_json(text);
  std::vector<ToolCall> calls;
  while (!(text = trim(text)).empty()) {
    if (text.starts_with(kMark)) text = trim(text.substr(kMark.size()));
    const size_t brace = text.find('{');
    if (brace == std::string_view::npos) return std::nullopt;
    std::string_view name = text.substr(0, brace);
    if (const size_t args = name.find(kArgs); args != std::string_view::npos) name = name.substr(0, args);
    if (const size_t id = name.find("[CALL_ID]"); id != std::string_view::npos) name = name.substr(0, id);
    const size_t size = json_end(text.substr(brace));
    if (size == std::string_view::npos) return std::nullopt;
    const std::string_view arguments = text.substr(brace, size);
    if (trim(name).empty() || !Json::accept(arguments)) return std::nullopt;
    calls.push_back({std::string(trim(name)), std::string(arguments)});
    text = text.substr(brace + size);
  }
  if (calls.empty()) return std::nullopt;
  return calls;
}

/// Several objects with ';' between them, as Llama 3 writes parallel calls.
std::optional<std::vector<ToolCall>> from_llama(std::string_view text) {
  std::vector<ToolCall> calls;
  while (!(text = trim(text)).empty()) {
    const size_t size = text.starts_with('{') ? json_end(text) : std::string_view::npos;
    if (size == std::string_view::npos) return std::nullopt;
    std::optional<std::vector<ToolCall>> some = from_json(text.substr(0, size));
    if (!some) return std::nullopt;
    calls.push_back(std::move(some->front()));
    text = trim(text.substr(size));
    if (text.starts_with(';') || text.starts_with(',')) text.remove_prefix(1);
  }
  if (calls.empty()) return std::nullopt;
  return calls;
}

/// Python-like calls: f(a=1, b="x", c=[True, None]); one per line, or a list of them in brackets.
class PythonReader {
 public:
  explicit PythonReader(std::string_view text) : text_(text) {}

  std::optional<std::vector<ToolCall>> read() {
    std::vector<ToolCall> calls;
    const bool list = take('[');
    while (true) {
      skip();
      if (at_ == text_.size() || (list && text_[at_] == ']')) break;
      ToolCall call;
      if (starts("print(")) return std::nullopt;
      call.name = name();
      if (call.name.empty() || !take('(')) return std::nullopt;
      Json arguments = Json::object();
      while (!take(')')) {
        const std::string key = name();
        if (key.empty() || !take('=')) return std::nullopt;
        Json value;
        if (!literal(value, 0)) return std::nullopt;
        arguments[key] = std::move(value);
        take(',');
      }
      call.arguments = dump(arguments);
      calls.push_back(std::move(call));
      if (!take(',')) take(';');
    }
    if (list && !take(']')) return std::nullopt;
    skip();
    if (at_ != text_.size() || calls.empty()) return std::nullopt;
    return calls;
  }

 private:
  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool starts(std::string_view word) const { return text_.substr(at_).starts_with(word); }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::string name() {
    skip();
    const size_t begin = at_;
    const auto part = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    };
    while (at_ < text_.size() && part(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  bool string(std::string& out) {
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c == '\\' && at_ < text_.size()) {
        c = text_[at_++];
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      }
      out += c;
    }
    return at_ < text_.size() && text_[at_++] == quote;
  }
  bool literal(Json& out, int depth) {
    skip();
    if (at_ >= text_.size() || depth > 32) return false;
    const char c = text_[at_];
    if (c == '"' || c == '\'') {
      std::string value;
      if (!string(value)) return false;
      out = std::move(value);
      return true;
    }
    if (c == '[') {
      ++at_;
      out = Json::array();
      while (!take(']')) {
        Json item;
        if (!literal(item, depth + 1)) return false;
        out.push_back(std::move(item));
        take(',');
      }
      return true;
    }
    if (c == '{') {
      ++at_;
      out = Json::object();
      while (!take('}')) {
        Json key, value;
        if (!literal(key, depth + 1) || !key.is_string() || !take(':') || !literal(value, depth + 1)) return false;
        out[key.get<std::string>()] = std::move(value);
        take(',');
      }
      return true;
    }
    const size_t begin = at_;
    while (at_ < text_.size() && std::string_view(",)]} \t\r\n").find(text_[at_]) == std::string_view::npos) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (word == "True" || word == "true") {
      out = true;
    } else if (word == "False" || word == "false") {
      out = false;
    } else if (word == "None" || word == "null") {
      out = nullptr;
    } else {
      out = Json::parse(word, nullptr, false);
      return out.is_number();
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

/// A rule for calls of one tool. Its parameters are a schema of their own, whose $refs begin at their root.
std::string call_rule(const std::string& rule, const Json& function, const char* arguments_key) {
  Json parameters = function.value("parameters", Json::object());
  if (!parameters.is_object() || parameters.empty()) parameters = {{"type", "object"}};
  if (!parameters.contains("x-guidance")) {
    parameters["x-guidance"] = Json::parse(rust::take(rust::callie_schema_settings()));
  }
  const std::string head = "{\"name\": " + dump(function["name"]) + ", \"" + arguments_key + "\": ";
  return rule + ": " + dump(Json(head)) + " " + rule + "_arguments \"}\"\n" + rule + "_arguments: %json " +
         dump(parameters) + "\n";
}

}  // namespace

std::optional<std::vector<ToolCall>> read_calls(ToolFormat format, std::string_view block) {
  block = trim(block);
  switch (format) {
    case ToolFormat::kHermes:
      return from_json(block);
    case ToolFormat::kQwenXml:
      return from_xml(block);
    case ToolFormat::kLlama3Json:
      return from_llama(block);
    case ToolFormat::kMistral:
      return from_mistral(block);
    case ToolFormat::kGemma:
      return PythonReader(block).read();
    case ToolFormat::kNone:
      break;
  }
  return std::nullopt;
}

ToolFormat detect_tool_format(std::string_view source) {
  const auto has = [&](std::string_view text) { return source.find(text) != std::string_view::npos; };
  if (has("<function=") && has("<parameter=")) return ToolFormat::kQwenXml;
  if (has("<tool_call>")) return ToolFormat::kHermes;
  if (has("[TOOL_CALLS]")) return ToolFormat::kMistral;
  if (has("<|python_tag|>") || (has("<|eot_id|>") && has("\"parameters\""))) return ToolFormat::kLlama3Json;
  if (has("<start_of_turn>")) return ToolFormat::kGemma;
  return has("tools") ? ToolFormat::kHermes : ToolFormat::kNone;
}

std::optional<CallHead> read_call_head(std::string_view block) {
  size_t at = 0;
  const auto skip_space = [&] { at = std::min(block.find_first_not_of(" \t\r\n", at), block.size()); };
  const auto eat = [&](std::string_view expected) {
    skip_space();
    if (!block.substr(at).starts_with(expected)) return false;
    at += expected.size();
    return true;
  };
  if (!eat("{") || !eat("\"name\"") || !eat(":") || !eat("\"")) return std::nullopt;
  const size_t end = block.find_first_of("\"\\<", at);
  if (end == std::string_view::npos || end == at || block[end] != '"') return std::nullopt;
  std::string name(block.substr(at, end - at));
  at = end + 1;
  if (!eat(",") || !(eat("\"arguments\"") || eat("\"parameters\"")) || !eat(":")) return std::nullopt;
  skip_space();
  if (at == block.size() || block[at] != '{') return std::nullopt;
  return CallHead{std::move(name), at};
}

StatusOr<std::string> tool_choice_grammar(ToolFormat format, const Json& tools, std::string_view name, bool parallel) {
  if (format != ToolFormat::kHermes && format != ToolFormat::kLlama3Json) {
    return error(StatusCode::kUnimplemented, "tool_choice: this model's tool-call format has no grammar");
  }
  const char* const key = format == ToolFormat::kHermes ? "arguments" : "parameters";
  std::string calls, rules;
  int n = 0;
  if (tools.is_array()) {
    for (const Json& tool : tools) {
      const Json& function = tool.is_object() && tool.contains("function") ? tool["function"] : tool;
      if (!function.is_object() || !function.contains("name") || !function["name"].is_string()) {
        return invalid_argument("tools: a function without a name");
      }
      if (!name.empty() && function["name"].get_ref<const std::string&>() != name) continue;
      const std::string rule = "call_" + std::to_string(n++);
      calls += (calls.empty() ? "" : " | ") + rule;
      rules += call_rule(rule, function, key);
    }
  }
  if (calls.empty()) return not_found("tool_choice: there is no tool '{}'", name);
  std::string grammar = "call: " + calls + "\n" + rules;
  if (format == ToolFormat::kLlama3Json) return "start: call\n" + grammar;
  grammar += "block: \"<tool_call>\\n\" call \"\\n</tool_call>\"\n";
  return (parallel ? "start: block (\"\\n\" block)*\n" : "start: block\n") + grammar;
}

}  // namespace callie
