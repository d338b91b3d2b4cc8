#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/status.h"
#include "serve/http/exchange.h"

namespace callie::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  ///< 0 = any free one, see HttpServer::port
  int io_threads = 1;
  std::string tls_cert, tls_key;  ///< PEM files; both or neither
  std::string client_ca;          ///< PEM file; clients must show a certificate that it signed
  int64_t max_header_bytes = 16 << 10;
  int64_t max_body_bytes = 16 << 20;
  int max_connections = 4096;
  double header_timeout_s = 10;  ///< from a request's first byte to the end of its header
  double body_timeout_s = 60;    ///< for the whole body
  double idle_timeout_s = 75;    ///< between requests
  double write_timeout_s = 30;   ///< a client that takes no bytes for so long is dropped
};

struct HttpStats {
  int64_t connections = 0;  ///< open now
  int64_t accepted = 0;
  int64_t refused = 0;       ///< over max_connections
  int64_t bad_requests = 0;  ///< malformed, too large or too slow
};

/// Told after every answer: its status (499 when the client went away first) and how long it took, in seconds. Runs on
/// the connection's strand.
using AnswerHook = std::function<void(const HttpRequest& request, int status, double seconds)>;

/// HTTP/1.1 with keep-alive, chunked streaming and optional TLS. A connection is a coroutine, not a thread.
class HttpServer {
 public:
  /// Listens and starts the I/O threads. Errors: kUnavailable (address in use), kNotFound or kInvalidArgument (host,
  /// certificate, key).
  static StatusOr<std::unique_ptr<HttpServer>> start(const HttpOptions& options, Handler handler,
                                                     AnswerHook answered = nullptr);
  ~HttpServer();

  int port() const;
  HttpStats stats() const;

  /// Stops accepting, closes idle connections, and waits until open requests have been answered, at most `timeout_s`.
  /// True when all were.
  bool drain(double timeout_s);
  /// Closes everything and joins the threads.
  void stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Raises the process's soft limit of open files to its hard limit. Returns the limit now.
int64_t raise_file_limit();

}  // namespace callie::serve
