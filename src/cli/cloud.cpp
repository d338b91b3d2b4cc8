#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "cli/address.h"
#include "cli/exit_options.h"
#include "cli/model_options.h"
#include "cli/verbs.h"
#include "core/interrupt.h"
#include "core/log.h"
#include "serve/edge_cloud/client.h"
#include "serve/edge_cloud/server.h"
#include "serve/http/server.h"

namespace callie::cli {
namespace {

struct CloudOptions {
  ModelOptions model;
  ContextOptions context;
  serve::EdgeCloudServerOptions server;
  std::string listen = "127.0.0.1:50051", api_key_file, metrics, log_level = "info";
  ExitOptions exits;
  bool no_measure = false;
};

Status cloud(CloudOptions options) {
  init_logging(options.log_level);
  install_interrupt_handler(true);
  CALLIE_RETURN_IF_ERROR(parse_address("--listen", options.listen, options.server.host, options.server.port));
  if (options.server.tls_cert.empty() != options.server.tls_key.empty()) {
    return error(StatusCode::kUsage, "--tls-cert and --tls-key go together");
  }
  if (!options.server.client_ca.empty() && options.server.tls_cert.empty()) {
    return error(StatusCode::kUsage, "--client-ca needs --tls-cert and --tls-key");
  }
  if (options.server.tls_cert.empty() && !serve::is_loopback_address(options.listen)) {
    return error(StatusCode::kUsage, "--listen {}: without --tls-cert and --tls-key only on this machine (127.0.0.1)",
                 options.listen);
  }
  serve::ApiKeys keys;
  if (!options.api_key_file.empty()) {
    CALLIE_ASSIGN_OR_RETURN(keys, serve::ApiKeys::read(options.api_key_file));
  }
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  CALLIE_ASSIGN_OR_RETURN(options.server.exits, options.exits.load(model, context));
  CALLIE_ASSIGN_OR_RETURN(const SessionOptions session, options.context.session_options());
  ExecutorOptions& executor = options.server.executor;
  executor.context = session.context > 0 ? session.context : std::min<int64_t>(4096, model->spec().context);
  executor.kv_format = session.kv_format;
  executor.kv_memory = session.kv_memory;
  executor.precision = session.precision;
  executor.sched.max_draft = options.server.limits.max_draft;
  options.server.model_id = std::filesystem::path(model->path()).stem().string();
  options.server.measure_passes = !options.no_measure;
  CALLIE_ASSIGN_OR_RETURN(const auto server, serve::EdgeCloudServer::start(model, options.server, std::move(keys), pool));

  std::unique_ptr<serve::HttpServer> metrics;
  if (!options.metrics.empty()) {
    serve::HttpOptions http;
    CALLIE_RETURN_IF_ERROR(parse_address("--metrics", options.metrics, http.host, http.port));
    CALLIE_ASSIGN_OR_RETURN(metrics, serve::HttpServer::start(http, [&server](std::shared_ptr<serve::Exchange> exchange) {
                              const bool known = exchange->request().path == "/metrics";
                              exchange->respond(known ? 200 : 404, "text/plain; version=0.0.4",
                                                known ? server->metrics() : "not found\n");
                            }));
    std::fprintf(stderr, "metrics on http://%s:%d/metrics\n", http.host.c_str(), metrics->port());
  }
  std::fprintf(stderr, "listening on %s:%d (%s)\n", options.server.host.c_str(), server->port(),
               options.server.tls_cert.empty() ? "plain text" : "TLS");
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  if (metrics) metrics->stop();
  server->stop();
  return ok_status();
}

}  // namespace

void add_cloud(CLI::App& app, Action& action) {
  auto options = std::make_shared<CloudOptions>();
  CLI::App* verb = app.add_subcommand("cloud", "the large model's side of edge-cloud speculation");
  verb->footer("Example: callie cloud qwen2.5-coder-1.5b --listen 127.0.0.1:50051");
  CloudOptions& o = *options;
  o.server.executor.sched.token_budget = 256;
  o.server.executor.sched.max_seqs = 16;
  o.model.add_to(*verb);
  o.context.add_to(*verb);
  verb->add_option("--listen", o.listen, "HOST:PORT (port 0 = any); only this machine without TLS")->capture_default_str();
  o.exits.add_to(*verb, "early exits of callie tune exits: clients get hints while a pass runs");
  verb->add_option("--tls-cert", o.server.tls_cert, "certificate chain, PEM");
  verb->add_option("--tls-key", o.server.tls_key, "private key, PEM");
  verb->add_option("--client-ca", o.server.client_ca, "clients must show a certificate signed by this one, PEM");
  verb->add_option("--api-key-file", o.api_key_file, "file with one key a line");
  verb->add_option("--max-draft", o.server.limits.max_draft, "tokens of a draft at most")->check(CLI::Range(1, 63))->capture_default_str();
  verb->add_option("--max-seqs", o.server.executor.sched.max_seqs, "sessions with keys and values in memory")->check(CLI::Range(1, 4096))->capture_default_str();
  verb->add_option("--token-budget", o.server.executor.sched.token_budget, "tokens of one step")->check(CLI::Range(1, 1 << 16))->capture_default_str();
  verb->add_option("--max-sessions", o.server.limits.max_sessions, "sessions open at once")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_option("--max-sessions-per-client", o.server.limits.max_sessions_per_client, "of one key, or of one address without keys")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_option("--metrics", o.metrics, "HOST:PORT of a page /metrics for Prometheus");
  verb->add_flag("--no-measure", o.no_measure, "do not time passes at the start");
  verb->add_option("--log-level", o.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  verb->callback([options, &action] { action = [options] { return cloud(*options); }; });
}

}  // namespace callie::cli
