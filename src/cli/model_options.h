#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/model.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace CLI {
class App;
}

namespace callie::cli {

/// Options of every verb that loads a model.
struct ModelOptions {
  std::string model = "smollm2-135m";
  int threads = 0;  ///< 0 = physical cores
  bool no_cache = false;

  void add_to(CLI::App& verb);
  int thread_count() const;
};

/// Options of verbs that keep a context: run, edge, serve, eval.
struct ContextOptions {
  int64_t ctx = 0;
  std::string kv = "f16";
  std::string kv_memory;  ///< "512M", "2G" or bytes; empty = as the context needs
  std::string precision = "default";

  void add_to(CLI::App& verb);
  StatusOr<SessionOptions> session_options() const;
};

/// Options of verbs that generate: run, edge, serve.
struct SamplingFlags {
  SamplingOptions sampling;
  std::vector<std::string> stops;

  void add_to(CLI::App& verb);
};

/// A number of bytes with an optional K, M or G (powers of 1024). Errors: kUsage names `flag`.
StatusOr<int64_t> parse_bytes(const std::string& flag, const std::string& text);

/// Resolves a MODEL argument (pulling a missing catalogue entry with progress on stderr) and loads it.
StatusOr<std::shared_ptr<const Model>> load_model(const ModelOptions& options, Context& context);

}  // namespace callie::cli
