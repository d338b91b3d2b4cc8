#pragma once

#include <string>

#include "core/status.h"

namespace callie::serve {

class Exchange;

/// An error in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.
struct ApiError {
  int status = 400;
  std::string message;
  std::string param;  ///< empty = null
  std::string code;   ///< empty = null
  std::string type = "invalid_request_error";
  int retry_after_s = 0;  ///< 0 = no such header
};

ApiError bad_field(std::string param, std::string message);
/// The HTTP form of a library error: kInvalidArgument 400, kNotFound 404, kResourceExhausted 429, kUnavailable 503,
/// kUnimplemented 400, else 500.
ApiError from_status(const Status& status, std::string param = {});
std::string error_json(const ApiError& error);
void respond_error(Exchange& exchange, const ApiError& error);

}  // namespace callie::serve
