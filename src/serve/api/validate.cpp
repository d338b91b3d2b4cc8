#include "serve/api/validate.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "serve/metrics.h"

namespace callie::serve {
namespace {

constexpr int kMaxDepth = 200;

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  bool check(const Json& schema, const Json& value, int depth) {
    if (schema.is_boolean()) return schema.get<bool>();
    if (!schema.is_object() || depth > kMaxDepth) return false;
    if (schema.contains("$ref") && !check_ref(schema["$ref"], value, depth)) return false;
    if (schema.contains("const") && schema["const"] != value) return false;
    if (schema.contains("enum") && !contains(schema["enum"], value)) return false;
    if (schema.contains("type") && !check_type(schema["type"], value)) return false;
    return combine(schema, value, depth) && check_object(schema, value, depth) && check_array(schema, value, depth) &&
           check_scalar(schema, value);
  }

 private:
  static bool contains(const Json& list, const Json& value) {
    for (const Json& one : list) {
      if (one == value) return true;
    }
    return false;
  }

  bool check_ref(const Json& ref, const Json& value, int depth) {
    if (!ref.is_string()) return false;
    const std::string& text = ref.get_ref<const std::string&>();
    if (text.empty() || text[0] != '#') return false;
    const Json::json_pointer pointer(text.substr(1));
    return root_.contains(pointer) && check(root_[pointer], value, depth + 1);
  }

  static bool check_type(const Json& type, const Json& value) {
    if (type.is_array()) {
      for (const Json& one : type) {
        if (check_type(one, value)) return true;
      }
      return false;
    }
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "number") return value.is_number();
    if (type == "integer") {
      return value.is_number_integer() ||
             (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
    }
    return false;
  }

  bool combine(const Json& schema, const Json& value, int depth) {
    const auto count = [&](const char* key) {
      int n = 0;
      for (const Json& one : schema[key]) n += check(one, value, depth + 1);
      return n;
    };
    if (schema.contains("allOf") && count("allOf") != static_cast<int>(schema["allOf"].size())) return false;
    if (schema.contains("anyOf") && count("anyOf") == 0) return false;
    if (schema.contains("oneOf") && count("oneOf") != 1) return false;
    return !schema.contains("not") || !check(schema["not"], value, depth + 1);
  }

  bool check_object(const Json& schema, const Json& value, int depth) {
    if (!value.is_object()) return true;
    if (schema.contains("required")) {
      for (const Json& name : schema["required"]) {
        if (!name.is_string() || !value.contains(name.get<std::string>())) return false;
      }
    }
    const Json properties = schema.value("properties", Json::object());
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (properties.contains(it.key())) {
        if (!check(properties[it.key()], *it, depth + 1)) return false;
      } else if (schema.contains("additionalProperties") && !schema.contains("patternProperties")) {
        if (!check(schema["additionalProperties"], *it, depth + 1)) return false;
      }
    }
    return in_range(schema, "minProperties", "maxProperties", static_cast<double>(value.size()));
  }

  bool check_array(const Json& schema, const Json& value, int depth) {
    if (!value.is_array()) return true;
    const size_t n_prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
    for (size_t i = 0; i < value.size(); ++i) {
      if (i < n_prefix) {
        if (!check(schema["prefixItems"][i], value[i], depth + 1)) return false;
      } else if (schema.contains("items") && !check(schema["items"], value[i], depth + 1)) {
        return false;
      }
    }
    return in_range(schema, "minItems", "maxItems", static_cast<double>(value.size()));
  }

  static bool check_scalar(const Json& schema, const Json& value) {
    if (value.is_string()) {
      double length = 0;  // in code points
      for (unsigned char c : value.get_ref<const std::string&>()) length += (c & 0xC0) != 0x80;
      return in_range(schema, "minLength", "maxLength", length);
    }
    if (!value.is_number()) return true;
    const double n = value.get<double>();
    if (schema.contains("exclusiveMinimum") && !(n > schema["exclusiveMinimum"].get<double>())) return false;
    if (schema.contains("exclusiveMaximum") && !(n < schema["exclusiveMaximum"].get<double>())) return false;
    if (schema.contains("multipleOf")) {
      // 0.3 is a multiple of 0.1, though not of the doubles next to them.
      const double times = n / schema["multipleOf"].get<double>();
      if (!(std::abs(times - std::round(times)) <= 1e-9 * std::max(1.0, std::abs(times)))) return false;
    }
    return in_range(schema, "minimum", "maximum", n);
  }

  static bool in_range(const Json& schema, const char* low, const char* high, double n) {
    return !(schema.contains(low) && n < schema[low].get<double>()) &&
           !(schema.contains(high) && n > schema[high].get<double>());
  }

  const Json& root_;
};

class ValidatingFormat : public AnswerFormat {
 public:
  ValidatingFormat(std::unique_ptr<AnswerFormat> inner, AnswerCheck check, Metrics& metrics)
      : inner_(std::move(inner)), check_(std::move(check)), metrics_(metrics) {}
  void begin(Exchange& exchange) override { inner_->begin(exchange); }
  void delta(Exchange& exchange, int index, const AnswerDelta& delta, const std::vector<LoggedToken>& tokens) override {
    inner_->delta(exchange, index, delta, tokens);
  }
  void choice_done(Exchange& exchange, const Choice& choice) override {
    Choice copy = choice;
    judge(copy);
    inner_->choice_done(exchange, copy);
  }
  void done(Exchange& exchange, const std::vector<Choice>& choices, const Usage& usage) override {
    std::vector<Choice> copies = choices;
    for (Choice& choice : copies) judge(choice);
    inner_->done(exchange, copies, usage);
  }

 private:
  void judge(Choice& choice) {
    if (choice.finish_reason != "stop" && choice.finish_reason != "tool_calls") return;
    const auto [verdict, fresh] = verdicts_.try_emplace(choice.index);
    if (fresh) {
      verdict->second = check_(choice.answer);
      ++metrics_.schema_checked;
      metrics_.schema_failed += !verdict->second;
    }
    if (!verdict->second) choice.finish_reason = "content_filter";
  }

  std::unique_ptr<AnswerFormat> inner_;
  AnswerCheck check_;
  Metrics& metrics_;
  std::map<int, bool> verdicts_;  // by choice: whether it is valid
};

bool text_matches(const Json& schema, const std::string& text) {
  const Json value = Json::parse(text, nullptr, false);
  std::string reason;
  return !value.is_discarded() && valid_json(schema, value, &reason);
}

}  // namespace

bool valid_json(const Json& schema, const Json& value, std::string* reason) {
  try {
    if (Validator(schema).check(schema, value, 0)) return true;
    *reason = "the value does not match the schema";
  } catch (const Json::exception& problem) {
    *reason = problem.what();  // a schema whose keyword has a value of the wrong type
  }
  return false;
}

AnswerCheck content_matches(const std::string& schema) {
  return [schema = Json::parse(schema, nullptr, false)](const Answer& answer) { return text_matches(schema, answer.content); };
}

AnswerCheck calls_match(const Json& tools) {
  return [tools](const Answer& answer) {
    return std::all_of(answer.calls.begin(), answer.calls.end(), [&tools](const ToolCall& call) {
      return std::any_of(tools.begin(), tools.end(), [&call](const Json& tool) {
        const Json& function = tool["function"];
        return function["name"] == call.name && text_matches(function["parameters"], call.arguments);
      });
    });
  };
}

std::unique_ptr<AnswerFormat> validating(std::unique_ptr<AnswerFormat> format, AnswerCheck check, Metrics& metrics) {
  return std::make_unique<ValidatingFormat>(std::move(format), std::move(check), metrics);
}

}  // namespace callie::serve
