#pragma once

#include <memory>

#include "core/json.h"
#include "serve/api/parameters.h"
#include "serve/backend.h"
#include "serve/http/exchange.h"

namespace callie::serve {

class Fields;
class Metrics;
class ResponseStore;
struct Usage;

/// What every endpoint works with.
struct ApiContext {
  ApiLimits limits;
  ApiDefaults defaults;
  Metrics* metrics = nullptr;
  ResponseStore* store = nullptr;
};

/// A request to a model: the body is a JSON object and the model is loaded.
struct Call {
  std::shared_ptr<Exchange> exchange;
  std::shared_ptr<Backend> backend;
  Json body;
  const ApiContext* context;
};

// Each answers its call, at once or later. They run on the connection's strand.
void chat_completions(const Call& call);
void completions(const Call& call);
void embeddings(const Call& call);
void responses(const Call& call);
void tokenize(const Call& call);
void detokenize(const Call& call);

/// A random id behind a prefix such as "chatcmpl-".
std::string new_id(const char* prefix);
int64_t unix_time();
/// JSON text; bytes that are not UTF-8 become U+FFFD.
std::string dump(const Json& json);
/// The usage object of chat completions and completions.
Json usage_json(const Usage& usage);

}  // namespace callie::serve
