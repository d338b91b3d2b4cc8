#include "serve/api/error.h"

#include "core/json.h"
#include "serve/http/exchange.h"

namespace callie::serve {

ApiError bad_field(std::string param, std::string message) {
  return {.status = 400, .message = std::move(message), .param = std::move(param), .code = "invalid_value"};
}

namespace {

// "top_k: -3 is negative" names its field.
std::string named_field(const std::string& message) {
  const size_t end = message.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  return end != std::string::npos && end > 0 && message.compare(end, 2, ": ") == 0 ? message.substr(0, end) : "";
}

}  // namespace

ApiError from_status(const Status& status, std::string param) {
  if (param.empty() && status.code() == StatusCode::kInvalidArgument) param = named_field(status.message());
  ApiError error{.status = 500, .message = status.message(), .param = std::move(param), .type = "server_error"};
  switch (status.code()) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kUnimplemented:
    case StatusCode::kDataLoss:
      error.status = 400;
      error.type = "invalid_request_error";
      error.code = "invalid_value";
      break;
    case StatusCode::kNotFound:
      error.status = 404;
      error.type = "invalid_request_error";
      error.code = "not_found";
      break;
    case StatusCode::kResourceExhausted:
      error.status = 429;
      error.type = "rate_limit_error";
      error.code = "server_busy";
      error.retry_after_s = 1;
      break;
    case StatusCode::kUnavailable:
      error.status = 503;
      error.code = "unavailable";
      error.retry_after_s = 5;
      break;
    default:
      break;
  }
  return error;
}

std::string error_json(const ApiError& error) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  const Json body = {{"error",
                      {{"message", error.message},
                       {"type", error.type},
                       {"param", or_null(error.param)},
                       {"code", or_null(error.code)}}}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void respond_error(Exchange& exchange, const ApiError& error) {
  Headers headers;
  if (error.retry_after_s > 0) headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  exchange.respond(error.status, "application/json", error_json(error), std::move(headers));
}

}  // namespace callie::serve
