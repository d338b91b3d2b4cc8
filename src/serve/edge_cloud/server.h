#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/status.h"
#include "decode/edge_cloud/server.h"
#include "engine/executor.h"
#include "engine/exit_heads.h"
#include "serve/api/keys.h"

namespace callie::serve {

struct EdgeCloudServerOptions {
  std::string host = "127.0.0.1";
  int port = 50051;               ///< 0 = any free one, see EdgeCloudServer::port
  std::string tls_cert, tls_key;  ///< PEM files; both or neither
  std::string client_ca;          ///< PEM file; clients must show a certificate that it signed
  std::string model_id;
  edge_cloud::ServerLimits limits;
  ExecutorOptions executor;
  std::shared_ptr<const ExitHeads> exits;  ///< of the model, for hints; may be null
  bool measure_passes = true;     ///< times passes at the start, for the clients' first plans
};

/// The cloud side of edge-cloud speculation (docs/edge-cloud.md): gRPC streams around edge_cloud::Server and one model.
/// A single thread runs the state machine and the model's steps in turn; gRPC's own threads only queue frames.
class EdgeCloudServer {
 public:
  /// Listens and starts. `pool` must outlive it. Errors: those of Executor::create; kNotFound or kInvalidArgument
  /// (certificate, key), kUnavailable (address in use).
  static StatusOr<std::unique_ptr<EdgeCloudServer>> start(std::shared_ptr<const Model> model,
                                                          const EdgeCloudServerOptions& options, ApiKeys keys,
                                                          ThreadPool& pool);
  ~EdgeCloudServer();

  int port() const;
  /// Everything it counts, in Prometheus' text format. Any thread.
  std::string metrics() const;
  /// Hangs up and joins.
  void stop();

 private:
  struct Impl;
  explicit EdgeCloudServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What the handshake compares: how the template renders a few conversations, not its source, since templates of one
/// family differ in parts (tools) that `callie edge` does not use. 0 without a template.
uint64_t template_hash(const Tokenizer& tokenizer);

}  // namespace callie::serve
