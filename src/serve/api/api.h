#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/api/endpoints.h"
#include "serve/api/keys.h"
#include "serve/metrics.h"
#include "serve/model_hub.h"

namespace callie::serve {

struct ApiOptions {
  ApiLimits limits;
  ApiDefaults defaults;
  std::string cors_origin;  ///< "" = off, "*" or one origin
  bool page = true;         ///< GET / shows the chat page
};

/// Routes requests: keys, CORS, models, and one function for each endpoint.
class Api {
 public:
  /// All pointers must outlive it; `store` may be null.
  Api(const ApiOptions& options, ApiKeys keys, ModelHub* hub, Metrics* metrics, ResponseStore* store,
      std::function<HttpStats()> http_stats);

  void handle(std::shared_ptr<Exchange> exchange);
  /// For HttpServer: counts the answer and logs it.
  void answered(const HttpRequest& request, int status, double seconds);
  /// New answers are refused from now on (503).
  void stop_accepting() { accepting_ = false; }

 private:
  using Endpoint = void (*)(const Call&);
  void get(Exchange& exchange, const std::string& path);
  void post(const std::shared_ptr<Exchange>& exchange, Endpoint endpoint, bool generates);
  void models(Exchange& exchange, const std::string& id);
  void stored_response(Exchange& exchange, const std::string& id, bool remove);
  void debug_steps(Exchange& exchange);
  std::string metrics_text();
  Headers cors(const HttpRequest& request) const;

  ApiOptions options_;
  ApiKeys keys_;
  ModelHub* hub_;
  std::function<HttpStats()> http_stats_;
  ApiContext context_;
  std::atomic<bool> accepting_{true};
};

}  // namespace callie::serve
