#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <unordered_set>

#include "serve/http/asio.h"
#include "serve/http/server.h"

namespace callie::serve {

class ConnectionBase;

/// What all connections of a server share.
struct ServerState {
  HttpOptions options;
  Handler handler;
  AnswerHook answered;  // may be empty
  std::atomic<bool> draining{false};
  std::atomic<int64_t> connections{0}, accepted{0}, refused{0}, bad_requests{0}, active{0};
  std::mutex mutex;
  std::unordered_set<ConnectionBase*> open;  // guarded by mutex
};

/// The part of a connection that does not depend on TLS.
class ConnectionBase : public std::enable_shared_from_this<ConnectionBase> {
 public:
  virtual ~ConnectionBase() = default;
  virtual void start() = 0;
  /// Closes the connection if no request is being received or answered. Any thread.
  virtual void close_if_idle() = 0;
  /// Closes it now. Any thread.
  virtual void close() = 0;
};

std::shared_ptr<ConnectionBase> make_connection(Tcp::socket socket, ServerState& state, asio::ssl::context* tls);

/// The answer as the connection's coroutine sees it. All members but the Exchange interface belong to the strand.
class ConnectionExchange : public Exchange {
 public:
  ConnectionExchange(asio::any_io_executor strand, HttpRequest request)
      : strand(std::move(strand)), wake(this->strand, asio::steady_timer::time_point::max()) {
    request_ = std::move(request);
  }

  void respond(int status, std::string content_type, std::string body, Headers headers) override;
  void begin_stream(int status, std::string content_type, Headers headers) override;
  void write(std::string chunk) override;
  void end() override;
  void post(std::function<void()> work) override;
  void on_gone(std::function<void()> callback) override;

  /// The client has gone: tells the handler, drops what is queued, wakes the coroutine.
  void mark_gone();

  asio::any_io_executor strand;
  asio::steady_timer wake;  // cancelled whenever there is something to write
  int status = 0;           // 0 = no answer yet
  std::string content_type;
  Headers headers;
  std::string body;
  bool streaming = false;
  bool ended = false;
  bool gone = false;
  std::string pending;  // streamed bytes not yet written
  std::function<void()> gone_callback;
};

}  // namespace callie::serve
