#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "cli/draft_options.h"
#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "cli/verbs.h"
#include "cli/yaml_config.h"
#include "core/interrupt.h"
#include "core/log.h"
#include "io/model_path.h"
#include "serve/api/api.h"
#include "serve/encoder_backend.h"
#include "serve/model_backend.h"
#include "serve/response_store.h"

namespace callie::cli {
namespace {

struct ServeOptions {
  std::vector<std::string> models = {"smollm2-135m"};
  ModelOptions model;
  ContextOptions context;
  SamplingFlags sampling;
  DraftOptions draft;
  serve::HttpOptions http;
  serve::ApiOptions api;
  serve::HubOptions hub;
  serve::ModelBackendOptions backend;
  std::string config, api_key_file, store, log_level = "info", memory_budget;
  double drain_s = 30;
  bool no_prefix_cache = false, no_page = false;
};

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// What clients call a model: its file or folder name without the format's ending.
std::string id_of(const std::string& model) {
  const std::filesystem::path path(model.ends_with('/') ? model.substr(0, model.size() - 1) : model);
  const std::string extension = path.extension().string();
  return (extension == ".gguf" || extension == ".safetensors" ? path.stem() : path.filename()).string();
}

// Loads a language model or a sentence encoder.
StatusOr<std::shared_ptr<serve::Backend>> load_backend(const std::string& id, const std::string& name,
                                                       const ServeOptions& options, Context& context) {
  ModelOptions one = options.model;
  one.model = name;
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  CALLIE_ASSIGN_OR_RETURN(const std::string path, io::resolve_model(name, environment));
  auto encoder = Embedder::load(path, context);
  if (encoder.ok()) return serve::make_encoder_backend(id, path, std::move(*encoder));
  if (encoder.status().code() != StatusCode::kUnimplemented) return encoder.status();
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(one, context));
  serve::ModelBackendOptions backend = options.backend;
  backend.executor.context = options.context.ctx > 0 ? options.context.ctx : std::min<int64_t>(4096, model->spec().context);
  decode::DraftModelOptions drafts;
  drafts.context = backend.executor.context;
  drafts.kv_format = backend.executor.kv_format;
  drafts.max_sequences = backend.executor.sched.max_seqs;
  auto speculator = options.draft.load(one, *model, drafts, context);
  if (!speculator.ok()) {
    // The draft is meant for the first model; others that it does not fit go without.
    if (id == id_of(options.models.front())) return speculator.status();
    spdlog::warn("{}: {}", id, speculator.status().message());
    speculator = std::unique_ptr<decode::Speculator>();
  }
  return serve::make_model_backend(id, model, backend, *context.pool, std::move(*speculator));
}

Status serve(ServeOptions& options) {
  init_logging(options.log_level);
  install_interrupt_handler(true);
  serve::raise_file_limit();
  const bool open = !is_loopback(options.http.host) && options.http.tls_cert.empty();
  if (open) spdlog::warn("listening on {} without TLS: prompts and keys can be read on the way", options.http.host);
  serve::ApiKeys keys;
  if (!options.api_key_file.empty()) {
    CALLIE_ASSIGN_OR_RETURN(keys, serve::ApiKeys::read(options.api_key_file));
  } else if (!is_loopback(options.http.host)) {
    return error(StatusCode::kUsage, "--host {}: give --api-key-file when others can reach the server", options.http.host);
  }
  CALLIE_ASSIGN_OR_RETURN(const SessionOptions session, options.context.session_options());
  options.backend.executor.kv_format = session.kv_format;
  options.backend.executor.precision = session.precision;
  options.backend.executor.kv_memory = session.kv_memory;
  options.backend.executor.prefix_cache = !options.no_prefix_cache;
  if (!options.memory_budget.empty()) {
    CALLIE_ASSIGN_OR_RETURN(options.hub.memory_budget, parse_bytes("--memory-budget", options.memory_budget));
  }
  std::unique_ptr<serve::ResponseStore> store;
  CALLIE_ASSIGN_OR_RETURN(store, serve::ResponseStore::open(options.store.empty() ? ":memory:" : options.store));

  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  std::vector<serve::ModelHub::Entry> entries;
  for (const std::string& name : options.models) {
    serve::ModelHub::Entry entry;
    entry.id = id_of(name);
    for (const serve::ModelHub::Entry& other : entries) {
      if (other.id == entry.id) return error(StatusCode::kUsage, "MODEL: two models are called {}", entry.id);
    }
    CALLIE_ASSIGN_OR_RETURN(const io::ModelPlace place, io::locate_model(name, environment));
    std::error_code unknown;
    const auto written = std::filesystem::last_write_time(place.path, unknown);
    if (!unknown) {
      entry.bytes = static_cast<int64_t>(io::model_bytes(place.path));
      const auto age = std::filesystem::file_time_type::clock::now() - written;
      entry.created = serve::unix_time() - std::chrono::duration_cast<std::chrono::seconds>(age).count();
    }
    entry.load = [&options, &context, name, id = entry.id] { return load_backend(id, name, options, context); };
    entries.push_back(std::move(entry));
  }
  serve::Metrics metrics;
  serve::ModelHub hub(std::move(entries), options.hub);
  // The first model is there before the first request; a broken file is told at once.
  CALLIE_RETURN_IF_ERROR(hub.load_first());
  options.api.defaults.sampling = options.sampling.sampling;
  options.api.defaults.stop = options.sampling.stops;
  options.api.page = !options.no_page;
  std::atomic<const serve::HttpServer*> listening = nullptr;  // requests come before start() returns
  serve::Api api(options.api, std::move(keys), &hub, &metrics, store.get(), [&listening] {
    const serve::HttpServer* server = listening;
    return server ? server->stats() : serve::HttpStats();
  });
  CALLIE_ASSIGN_OR_RETURN(const auto server, serve::HttpServer::start(options.http, [&api](auto exchange) { api.handle(std::move(exchange)); },
                                                   [&api](const auto& request, int status, double seconds) {
                                                     api.answered(request, status, seconds);
                                                   }));
  listening = server.get();
  const bool brackets = options.http.host.find(':') != std::string::npos;  // around an IPv6 address
  std::fprintf(stderr, "listening on %s://%s%s%s:%d\n", options.http.tls_cert.empty() ? "http" : "https",
               brackets ? "[" : "", options.http.host.c_str(), brackets ? "]" : "", server->port());
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  spdlog::info("draining");
  api.stop_accepting();
  if (!server->drain(options.drain_s)) spdlog::warn("answers were cut off after {} s", options.drain_s);
  server->stop();
  hub.stop();  // before the server's connections are gone for good
  return ok_status();
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* verb = app.add_subcommand("serve", "OpenAI-compatible server with continuous batching and a chat page");
  verb->footer("Example: callie serve smollm2-135m --port 8080");
  ServeOptions& o = *options;
  verb->add_option("--config", o.config, "YAML file: flags without their dashes, and `models`; the command line wins");
  verb->add_option("MODEL", o.models, "models, as for `callie run`; the first is loaded at once")->capture_default_str();
  verb->add_option("--threads", o.model.threads, "threads (0 = physical cores)")->check(CLI::Range(0, 1024))->capture_default_str();
  verb->add_flag("--no-cache", o.model.no_cache, "neither read nor write the cache of packed weights");
  o.context.add_to(*verb);
  o.sampling.add_to(*verb);
  o.draft.add_to(*verb);
  verb->add_option("--host", o.http.host, "address to listen on")->capture_default_str();
  verb->add_option("--port", o.http.port, "port (0 = any)")->check(CLI::Range(0, 65535))->capture_default_str();
  verb->add_option("--tls-cert", o.http.tls_cert, "certificate chain, PEM");
  verb->add_option("--tls-key", o.http.tls_key, "private key, PEM");
  verb->add_option("--client-ca", o.http.client_ca, "clients must show a certificate signed by this one, PEM");
  verb->add_option("--api-key-file", o.api_key_file, "file with one key a line");
  verb->add_option("--cors", o.api.cors_origin, "origin that browsers may call from, or *");
  verb->add_option("--token-budget", o.backend.executor.sched.token_budget, "tokens of one step")->check(CLI::Range(1, 1 << 16))->capture_default_str();
  verb->add_option("--max-seqs", o.backend.executor.sched.max_seqs, "answers generated together")->check(CLI::Range(1, 4096))->capture_default_str();
  verb->add_option("--queue-limit", o.backend.executor.sched.queue_limit, "waiting requests before 429")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_option("--max-streams", o.api.limits.max_streams, "answers waiting or generated, all models")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_option("--max-n", o.api.limits.max_n, "highest `n`")->check(CLI::Range(1, 1024))->capture_default_str();
  verb->add_option("--max-body", o.http.max_body_bytes, "bytes of a request's body")->check(CLI::Range(int64_t{1}, int64_t{1} << 32))->capture_default_str();
  verb->add_option("--max-header", o.http.max_header_bytes, "bytes of a request's header")->check(CLI::Range(1024, 1 << 20))->capture_default_str();
  verb->add_option("--header-timeout", o.http.header_timeout_s, "seconds for a request's header")->check(positive_number())->capture_default_str();
  verb->add_option("--body-timeout", o.http.body_timeout_s, "seconds for a request's body")->check(positive_number())->capture_default_str();
  verb->add_option("--idle-timeout", o.http.idle_timeout_s, "seconds that a connection may wait between requests")->check(positive_number())->capture_default_str();
  verb->add_option("--write-timeout", o.http.write_timeout_s, "seconds without a byte taken before a client is dropped")->check(positive_number())->capture_default_str();
  verb->add_option("--max-connections", o.http.max_connections, "open connections")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  verb->add_option("--request-timeout", o.api.limits.request_timeout_s, "seconds for one answer")->check(positive_number())->capture_default_str();
  verb->add_option("--drain", o.drain_s, "seconds that open answers may take after SIGTERM")->check(non_negative_number())->capture_default_str();
  verb->add_option("--block-size", o.backend.executor.block_size, "tokens of a KV block; prompts share whole blocks")->check(CLI::IsMember({16, 32, 64, 128, 256}))->capture_default_str();
  verb->add_flag("--no-prefix-cache", o.no_prefix_cache, "do not share computed prefixes between requests");
  verb->add_flag("--no-page", o.no_page, "no chat page at /");
  verb->add_option("--idle-unload", o.hub.idle_unload_s, "seconds without use before a model leaves memory (0 = never)")->check(non_negative_number())->capture_default_str();
  verb->add_option("--memory-budget", o.memory_budget, "memory of all loaded models, for example 8G");
  verb->add_option("--store", o.store, "SQLite file for stored responses (default: in memory)");
  verb->add_option("--request-log", o.backend.request_log, "JSON lines, one for each request");
  verb->add_option("--step-log", o.backend.step_log, "JSON lines, one for each step");
  verb->add_option("--log-level", o.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  verb->callback([options, verb, &action] {
    action = [options, verb]() -> Status {
      if (!options->config.empty()) CALLIE_RETURN_IF_ERROR(apply_yaml_config(options->config, *verb));
      options->api.defaults.fixed_seed = verb->get_option("--seed")->count() > 0;
      return serve(*options);
    };
  });
}

}  // namespace callie::cli
