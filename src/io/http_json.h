#pragma once

#include <string>

#include "core/json.h"
#include "core/status.h"

namespace callie::io {

struct HttpOptions {
  std::string api_key;     ///< sent as a bearer token when not empty
  double timeout_s = 600;  ///< for the whole exchange
  int attempts = 4;        ///< tries when the server is busy (429, 5xx) or the connection fails
};

/// The text behind an address (GET). Errors as below.
StatusOr<std::string> http_get(const std::string& url, const HttpOptions& options = {});

/// Sends `body` (GET when it is null) and reads a JSON reply. Errors: kUnavailable (network, 429 and 5xx after all
/// attempts), kInvalidArgument (other 4xx, with the server's message), kDataLoss (a reply that is no JSON), kCancelled.
StatusOr<Json> http_json(const std::string& url, const Json& body, const HttpOptions& options = {});

}  // namespace callie::io
