#pragma once

#include <fmt/format.h>

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace callie {

/// What went wrong, in the terms a caller can act on. The command line maps every code to exit 1, kUsage to 2 and
/// kCancelled to 130.
enum class StatusCode {
  kOk,
  kInvalidArgument,     ///< a value the caller gave is out of range
  kNotFound,            ///< a file, tensor, key or model that does not exist
  kDataLoss,            ///< a file is broken: truncated, wrong magic, inconsistent sizes
  kResourceExhausted,   ///< memory, disk, context or queue is full
  kFailedPrecondition,  ///< right call, wrong state
  kUnimplemented,       ///< recognised, and refused on purpose
  kUnavailable,         ///< may work when tried again: network, remote peer
  kCancelled,           ///< the user or a deadline stopped it
  kUsage,               ///< wrong command-line usage
  kInternal,            ///< a bug
};

/// The result of something that can fail. `message` is one line that names the file and the field.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// The same error with `context` in front: "context: message". An ok status stays ok.
  Status with_context(std::string_view context) const {
    return ok() ? *this : Status(code_, fmt::format("{}: {}", context, message_));
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status ok_status() { return {}; }

template <typename... Args>
Status error(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status invalid_argument(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status not_found(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kNotFound, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status data_loss(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kDataLoss, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status resource_exhausted(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kResourceExhausted, fmt::format(format, std::forward<Args>(args)...));
}

/// A value or the reason why there is none. `value()` may be called only when `ok()`.
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(Status status) : value_(std::move(status)) { assert(!std::get<Status>(value_).ok()); }
  StatusOr(T value) : value_(std::move(value)) {}

  bool ok() const { return std::holds_alternative<T>(value_); }
  Status status() const { return ok() ? Status() : std::get<Status>(value_); }
  T& value() & { return std::get<T>(value_); }
  const T& value() const& { return std::get<T>(value_); }
  T&& value() && { return std::get<T>(std::move(value_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::variant<Status, T> value_;
};

#define CALLIE_CONCAT_INNER(a, b) a##b
#define CALLIE_CONCAT(a, b) CALLIE_CONCAT_INNER(a, b)

/// Returns from the enclosing function when `expression` is not ok.
#define CALLIE_RETURN_IF_ERROR(expression)             \
  do {                                                 \
    ::callie::Status status_ = (expression);           \
    if (!status_.ok()) return status_;                 \
  } while (false)

/// `CALLIE_ASSIGN_OR_RETURN(auto x, f())`: assigns the value or returns the error.
#define CALLIE_ASSIGN_OR_RETURN(target, expression) \
  CALLIE_ASSIGN_OR_RETURN_INNER(CALLIE_CONCAT(status_or_, __LINE__), target, expression)
#define CALLIE_ASSIGN_OR_RETURN_INNER(temporary, target, expression) \
  auto temporary = (expression);                                     \
  if (!temporary.ok()) return temporary.status();                    \
  target = std::move(temporary).value()

}  // namespace callie
