#include "serve/api/fields.h"

#include <cmath>

namespace callie::serve {
namespace {

constexpr int kMaxDepth = 64;
const Json kNull;

// Depth of nesting outside strings; says nothing about validity.
int nesting(const std::string& text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

std::optional<ApiError> parse_body(const std::string& body, Json* out) {
  if (nesting(body) > kMaxDepth) {
    return ApiError{.message = fmt::format("the body is nested deeper than {} levels", kMaxDepth), .code = "too_deep"};
  }
  try {
    *out = Json::parse(body);
  } catch (const Json::exception& problem) {
    std::string message = problem.what();
    const size_t end = message.find("] ");
    if (end != std::string::npos) message.erase(0, end + 2);
    return ApiError{.message = "the body is not valid JSON: " + message, .code = "invalid_json"};
  }
  if (!out->is_object()) return ApiError{.message = "the body is not a JSON object", .code = "invalid_json"};
  return std::nullopt;
}

Fields::Fields(const Json& object, std::string prefix) : object_(object), prefix_(std::move(prefix)) {}

void Fields::fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}
void Fields::fail(std::string_view name, std::string message) {
  fail(bad_field(full(name), fmt::format("{}: {}", full(name), message)));
}

const Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = object_.find(std::string(name));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::has(std::string_view name) { return find(name) != nullptr; }

const Json& Fields::any(std::string_view name) {
  const Json* value = find(name);
  return value ? *value : kNull;
}

bool Fields::boolean(std::string_view name, bool otherwise) {
  const Json* value = find(name);
  if (!value) return otherwise;
  if (!value->is_boolean()) return fail(name, "must be true or false"), otherwise;
  return value->get<bool>();
}

int64_t Fields::integer(std::string_view name, int64_t otherwise, int64_t low, int64_t high) {
  const Json* value = find(name);
  if (!value) return otherwise;
  // 3.0 is an integer, as JSON schema has it; numbers that JSON cannot hold as one arrive as floats too.
  const bool from_float = value->is_number_float();
  const double real = value->is_number() ? value->get<double>() : 0.5;
  if (std::trunc(real) != real) return fail(name, "must be an integer"), otherwise;
  const bool huge = from_float ? std::abs(real) >= 0x1p63
                               : value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t n = huge ? 0 : from_float ? static_cast<int64_t>(real) : value->get<int64_t>();
  if (huge || n < low || n > high) return fail(name, fmt::format("must be between {} and {}", low, high)), otherwise;
  return n;
}

double Fields::number(std::string_view name, double otherwise, double low, double high) {
  const Json* value = find(name);
  if (!value) return otherwise;
  if (!value->is_number()) return fail(name, "must be a number"), otherwise;
  const double n = value->get<double>();
  if (!(n >= low && n <= high)) return fail(name, fmt::format("must be between {} and {}", low, high)), otherwise;
  return n;
}

std::string Fields::text(std::string_view name, std::string otherwise) {
  const Json* value = find(name);
  if (!value) return otherwise;
  if (!value->is_string()) return fail(name, "must be a string"), otherwise;
  return value->get<std::string>();
}

const Json& Fields::array(std::string_view name) {
  const Json* value = find(name);
  if (!value) return kNull;
  if (!value->is_array()) return fail(name, "must be an array"), kNull;
  return *value;
}

const Json& Fields::object(std::string_view name) {
  const Json* value = find(name);
  if (!value) return kNull;
  if (!value->is_object()) return fail(name, "must be an object"), kNull;
  return *value;
}

void Fields::ignore(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) known_.emplace(name);
}

void Fields::only(std::string_view name, const Json& value) {
  const Json* given = find(name);
  if (given && *given != value) fail(name, fmt::format("only {} is supported", value.dump()));
}

std::optional<ApiError> Fields::finish() {
  for (auto it = object_.begin(); it != object_.end() && !error_; ++it) {
    if (!known_.contains(it.key())) {
      fail({.status = 400,
            .message = fmt::format("unknown field '{}'", full(it.key())),
            .param = full(it.key()),
            .code = "unknown_parameter"});
    }
  }
  return error_;
}

}  // namespace callie::serve
