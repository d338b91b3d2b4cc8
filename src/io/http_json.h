#pragma once

#include <string>

#include "core/json.h"
#include "core/status.h"

namespace callie::io {

struct HttpJsonOptions {
  std::string api_key;     ///< sent as a bearer token when not empty
  double timeout_s = 600;  ///< for the whole exchange
  int attempts = 4;        ///< tries when the server is busy (429, 5xx) or the connection fails
};

/// Sends `body` (GET when it is null) and reads a JSON reply. Errors: kUnavailable (network, 429 and 5xx after all
/// attempts), kInvalidArgument (other 4xx, with the server's message), kDataLoss (a reply that is no JSON), kCancelled.
StatusOr<Json> http_json(const std::string& url, const Json& body, const HttpJsonOptions& options = {});

}  // namespace callie::io
