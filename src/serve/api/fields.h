#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/json.h"
#include "serve/api/error.h"

namespace callie::serve {

/// Parses a request body. Errors: not JSON, not an object, invalid UTF-8, nested deeper than 64 levels.
std::optional<ApiError> parse_body(const std::string& body, Json* out);

/// Reads the fields of a JSON object, each with its type and range, and remembers the first error. A field that is null
/// counts as absent. After all reads, finish() reports a field that nobody asked for.
class Fields {
 public:
  /// `object` is kept by reference; null counts as empty. `prefix` goes before names in errors ("stream_options.").
  explicit Fields(const Json& object, std::string prefix = {});
  explicit Fields(Json&&, std::string = {}) = delete;

  bool has(std::string_view name);
  /// The value, or null when it is absent. Any type.
  const Json& any(std::string_view name);
  bool boolean(std::string_view name, bool otherwise);
  int64_t integer(std::string_view name, int64_t otherwise, int64_t low, int64_t high);
  double number(std::string_view name, double otherwise, double low, double high);
  std::string text(std::string_view name, std::string otherwise = {});
  const Json& array(std::string_view name);   ///< null when absent
  const Json& object(std::string_view name);  ///< null when absent

  /// Accepted without effect.
  void ignore(std::initializer_list<std::string_view> names);
  /// Refused unless absent or equal to `value`: what would change the answer and is not supported.
  void only(std::string_view name, const Json& value);
  void fail(std::string_view name, std::string message);
  void fail(ApiError error);

  bool ok() const { return !error_; }
  /// The first error, if any; an unknown field is one.
  std::optional<ApiError> finish();
  std::optional<ApiError> error() const { return error_; }

 private:
  const Json* find(std::string_view name);
  std::string full(std::string_view name) const { return prefix_ + std::string(name); }

  const Json& object_;
  std::string prefix_;
  std::set<std::string, std::less<>> known_;
  std::optional<ApiError> error_;
};

}  // namespace callie::serve
