#include "serve/api/api.h"

#include <chrono>
#include <random>

#include "core/log.h"
#include "core/version.h"
#include "serve/api/fields.h"
#include "serve/api/job.h"
#include "serve/page.h"
#include "serve/response_store.h"

namespace callie::serve {

std::string new_id(const char* prefix) {
  thread_local std::mt19937_64 random(std::random_device{}());
  return fmt::format("{}{:016x}{:016x}", prefix, random(), random());
}

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.output_tokens},
          {"total_tokens", usage.prompt_tokens + usage.output_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

Api::Api(const ApiOptions& options, ApiKeys keys, ModelHub* hub, Metrics* metrics, ResponseStore* store,
         std::function<HttpStats()> http_stats)
    : options_(options),
      keys_(std::move(keys)),
      hub_(hub),
      http_stats_(std::move(http_stats)),
      context_{options.limits, options.defaults, metrics, store} {}

Headers Api::cors(const HttpRequest& request) const {
  // The official clients add headers of their own.
  const std::string_view wanted = request.header("access-control-request-headers");
  return {{"Access-Control-Allow-Origin", options_.cors_origin},
          {"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
          {"Access-Control-Allow-Headers", std::string(wanted.empty() ? "authorization, content-type" : wanted)},
          {"Access-Control-Max-Age", "600"}};
}

namespace {

/// Adds headers to whatever is answered.
class WithHeaders : public Exchange {
 public:
  WithHeaders(std::shared_ptr<Exchange> inner, Headers headers) : inner_(std::move(inner)), extra_(std::move(headers)) {
    request_ = inner_->request();
  }
  void respond(int status, std::string type, std::string body, Headers headers) override {
    headers.insert(headers.end(), extra_.begin(), extra_.end());
    inner_->respond(status, std::move(type), std::move(body), std::move(headers));
  }
  void begin_stream(int status, std::string type, Headers headers) override {
    headers.insert(headers.end(), extra_.begin(), extra_.end());
    inner_->begin_stream(status, std::move(type), std::move(headers));
  }
  void write(std::string chunk) override { inner_->write(std::move(chunk)); }
  void end() override { inner_->end(); }
  void post(std::function<void()> work) override { inner_->post(std::move(work)); }
  void on_gone(std::function<void()> callback) override { inner_->on_gone(std::move(callback)); }

 private:
  std::shared_ptr<Exchange> inner_;
  Headers extra_;
};

}  // namespace

void Api::handle(std::shared_ptr<Exchange> exchange) {
  if (!options_.cors_origin.empty()) {
    Headers headers = cors(exchange->request());
    exchange = std::make_shared<WithHeaders>(std::move(exchange), std::move(headers));
  }
  const HttpRequest& request = exchange->request();
  const std::string& path = request.path;
  if (request.method == "OPTIONS" && !options_.cors_origin.empty()) {
    return exchange->respond(204, "text/plain", "", {});
  }
  const bool reading = request.method == "GET" || request.method == "HEAD";
  const bool open = path == "/health" || (options_.page && reading && find_page_file(path));
  if (!open && !keys_.allow(request.header("authorization"))) {
    return respond_error(*exchange, {.status = 401,
                                     .message = "a valid API key is needed: Authorization: Bearer KEY",
                                     .code = "invalid_api_key",
                                     .type = "authentication_error"});
  }
  struct Route {
    std::string_view path;
    Endpoint endpoint;
    bool generates;
  };
  static constexpr Route kRoutes[] = {
      {"/v1/chat/completions", chat_completions, true},
      {"/v1/completions", completions, true},
      {"/v1/responses", responses, true},
      {"/v1/embeddings", embeddings, false},
      {"/tokenize", tokenize, false},
      {"/detokenize", detokenize, false},
  };
  for (const Route& route : kRoutes) {
    if (path != route.path) continue;
    if (request.method == "POST") return post(exchange, route.endpoint, route.generates);
    return respond_error(*exchange,
                         {.status = 405, .message = fmt::format("{} takes POST", path), .code = "method_not_allowed"});
  }
  constexpr std::string_view kStored = "/v1/responses/";
  if (path.starts_with(kStored) && (reading || request.method == "DELETE")) {
    return stored_response(*exchange, path.substr(kStored.size()), !reading);
  }
  if (reading) return get(*exchange, path);
  respond_error(*exchange, {.status = 404,
                            .message = fmt::format("there is no {} {}", request.method, path),
                            .code = "not_found"});
}

void Api::answered(const HttpRequest& request, int status, double seconds) {
  // Paths that clients make up must not fill the metrics.
  static constexpr std::string_view kPaths[] = {
      "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/models", "/tokenize",
      "/detokenize",          "/health",         "/metrics",       "/debug/steps",  "/version",   "/"};
  std::string_view name = "other";
  for (std::string_view path : kPaths) {
    if (request.path == path || (path.starts_with("/v1/") && request.path.starts_with(std::string(path) + "/"))) name = path;
  }
  context_.metrics->request(name, status);
  const bool routine = name == "/health" || name == "/metrics";
  spdlog::log(routine ? spdlog::level::debug : spdlog::level::info, "{} {} {} {} {:.1f} ms", request.remote,
              request.method, name == "other" ? "(unknown path)" : request.path, status, 1e3 * seconds);
}

void Api::get(Exchange& exchange, const std::string& path) {
  constexpr std::string_view kModels = "/v1/models";
  if (path == kModels) return models(exchange, "");
  if (path.starts_with("/v1/models/")) return models(exchange, path.substr(kModels.size() + 1));
  if (path == "/health") {
    return exchange.respond(accepting_ ? 200 : 503, "application/json",
                            accepting_ ? R"({"status":"ok"})" : R"({"status":"draining"})");
  }
  if (path == "/metrics") return exchange.respond(200, "text/plain; version=0.0.4", metrics_text());
  if (path == "/debug/steps") return debug_steps(exchange);
  if (path == "/version") {
    return exchange.respond(200, "application/json", dump({{"version", std::string(kVersion)}}));
  }
  if (options_.page) {
    if (const PageFile* file = find_page_file(path)) {
      return exchange.respond(200, std::string(file->content_type), std::string(file->content),
                              {{"Content-Security-Policy",
                                "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
                                "base-uri 'none'; frame-ancestors 'none'"},
                               {"X-Content-Type-Options", "nosniff"},
                               {"Cache-Control", "no-cache"}});
    }
  }
  respond_error(exchange, {.status = 404, .message = fmt::format("there is no GET {}", path), .code = "not_found"});
}

void Api::post(const std::shared_ptr<Exchange>& exchange, Endpoint endpoint, bool generates) {
  if (!accepting_) {
    return respond_error(*exchange, {.status = 503,
                                     .message = "the server is shutting down",
                                     .code = "unavailable",
                                     .type = "server_error",
                                     .retry_after_s = 5});
  }
  if (context_.metrics->streams >= options_.limits.max_streams) {
    ++context_.metrics->rejected;
    return respond_error(*exchange, {.status = 429,
                                     .message = "too many answers are being generated",
                                     .code = "server_busy",
                                     .type = "rate_limit_error",
                                     .retry_after_s = 1});
  }
  Json body;
  if (const auto error = parse_body(exchange->request().body, &body)) return respond_error(*exchange, *error);
  const Json model = body.value("model", Json(""));
  if (!model.is_string()) return respond_error(*exchange, bad_field("model", "model: must be a string"));
  const std::string name = model.get<std::string>();
  const ApiContext* context = &context_;
  hub_->use(name, [exchange, endpoint, generates, name, context,
                   body = std::make_shared<Json>(std::move(body))](StatusOr<std::shared_ptr<Backend>> backend) {
    if (!backend.ok()) {
      ApiError error = from_status(backend.status(), "model");
      if (backend.status().code() == StatusCode::kNotFound) error.code = "model_not_found";
      return respond_error(*exchange, error);
    }
    const ModelInfo& info = (*backend)->info();
    if (generates && !info.generates) {
      return respond_error(*exchange, bad_field("model", fmt::format("model: {} gives embeddings only", info.id)));
    }
    exchange->post([exchange, endpoint, context, body, backend = *backend] {
      try {
        endpoint({exchange, backend, std::move(*body), context});
      } catch (const std::exception& problem) {  // a bug, or no memory: this request fails, the others go on
        spdlog::error("{}: {}", exchange->request().path, problem.what());
        respond_error(*exchange, {.status = 500, .message = "internal error", .code = "internal", .type = "server_error"});
      }
    });
  });
}

void Api::models(Exchange& exchange, const std::string& id) {
  Json data = Json::array();
  for (const ModelHub::Listing& one : hub_->list()) {
    Json model = {{"id", one.id}, {"object", "model"}, {"created", one.created}, {"owned_by", "callie"}};
    model["loaded"] = one.backend != nullptr;
    if (one.backend) model["max_model_len"] = one.backend->info().context;
    if (one.id == id) return exchange.respond(200, "application/json", dump(model));
    data.push_back(std::move(model));
  }
  if (!id.empty()) {
    return respond_error(exchange, {.status = 404,
                                    .message = fmt::format("the model '{}' does not exist", id),
                                    .param = "model",
                                    .code = "model_not_found"});
  }
  exchange.respond(200, "application/json", dump({{"object", "list"}, {"data", std::move(data)}}));
}

void Api::stored_response(Exchange& exchange, const std::string& id, bool remove) {
  const ApiError missing{.status = 404, .message = fmt::format("no response with id '{}'", id), .code = "not_found"};
  if (!context_.store) return respond_error(exchange, missing);
  if (remove) {
    const auto removed = context_.store->remove(id);
    if (!removed.ok()) return respond_error(exchange, from_status(removed.status()));
    if (!*removed) return respond_error(exchange, missing);
    return exchange.respond(200, "application/json", dump({{"id", id}, {"object", "response"}, {"deleted", true}}));
  }
  const auto entry = context_.store->get(id);
  if (!entry.ok()) return respond_error(exchange, entry.status().code() == StatusCode::kNotFound ? missing : from_status(entry.status()));
  exchange.respond(200, "application/json", entry->response);
}

void Api::debug_steps(Exchange& exchange) {
  std::string out;
  for (const ModelHub::Listing& one : hub_->list()) {
    if (one.backend) out += one.backend->debug_steps();
  }
  exchange.respond(200, "application/x-ndjson", std::move(out));
}

std::string Api::metrics_text() {
  std::vector<Metrics::ModelStats> models;
  for (const ModelHub::Listing& one : hub_->list()) {
    models.push_back({one.id, one.backend != nullptr, one.backend ? one.backend->stats() : BackendStats()});
  }
  return context_.metrics->text(models, http_stats_());
}

}  // namespace callie::serve
