#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/status.h"
#include "decode/edge_cloud/client.h"

namespace callie::serve {

struct EdgeCloudClientOptions {
  std::string address;             ///< HOST:PORT
  bool tls = false;                ///< else plain text, which only a loopback address may have
  std::string tls_ca;              ///< PEM file of the authority to trust; empty = the system's
  std::string tls_cert, tls_key;   ///< PEM files, for servers that ask for a certificate
  std::string api_key;
};

/// HOST:PORT names this machine only: 127.x.x.x, ::1 or localhost.
bool is_loopback_address(const std::string& address);

/// The edge side of edge-cloud speculation on gRPC: it brings a Client's frames to the server and drives it.
class EdgeCloudConnection : public edge_cloud::ClientSink {
 public:
  /// `on_tokens` hears of emitted tokens; false = enough. Errors: kUsage (plain text off loopback), kNotFound (a PEM
  /// file).
  static StatusOr<std::unique_ptr<EdgeCloudConnection>> create(
      const EdgeCloudClientOptions& options, std::function<bool(std::span<const edge_cloud::TokenId>)> on_tokens);
  ~EdgeCloudConnection() override;

  const edge_cloud::Clock& clock() const;
  /// Runs `client`, whose sink and clock are this connection's, to its end or until `interrupted()`. Errors: the
  /// client's, and what no retry can help (a wrong key, a certificate that is not trusted, no such service).
  Status run(edge_cloud::Client& client);

  void connect() override;
  void send(std::string frame) override;
  void close() override;
  void emit(std::span<const edge_cloud::TokenId> tokens) override;

 private:
  struct Impl;
  explicit EdgeCloudConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace callie::serve
