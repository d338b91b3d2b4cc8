#include "serve/http/server.h"

#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "core/log.h"
#include "serve/http/connection.h"

namespace callie::serve {

struct HttpServer::Impl {
  explicit Impl(int threads) : io(threads), acceptor(io), work(asio::make_work_guard(io)) {}

  asio::awaitable<void> accept_loop() {
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(asio::make_strand(io), asio::as_tuple(asio::use_awaitable));
      if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
      if (error) {
        // No file left, most likely: wait for connections to close.
        asio::steady_timer pause(io, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        continue;
      }
      ++state.accepted;
      if (++state.connections > state.options.max_connections) {
        --state.connections;
        ++state.refused;
        continue;  // the socket closes
      }
      make_connection(std::move(socket), state, tls.get())->start();
    }
  }

  ServerState state;
  std::unique_ptr<asio::ssl::context> tls;
  asio::io_context io;
  Tcp::acceptor acceptor;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::thread> threads;
  int port = 0;
};

namespace {

/// Held beyond the lock: whoever lets a connection go last destroys it, and that takes the lock too.
std::vector<std::shared_ptr<ConnectionBase>> open_connections(ServerState& state) {
  std::vector<std::shared_ptr<ConnectionBase>> out;
  std::lock_guard lock(state.mutex);
  for (ConnectionBase* connection : state.open) {
    if (auto held = connection->weak_from_this().lock()) out.push_back(std::move(held));
  }
  return out;
}

StatusOr<std::unique_ptr<asio::ssl::context>> make_tls(const HttpOptions& options) {
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  boost::system::error_code error;
  tls->use_certificate_chain_file(options.tls_cert, error);
  if (error) return invalid_argument("tls-cert: {}: {}", options.tls_cert, error.message());
  tls->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error) return invalid_argument("tls-key: {}: {}", options.tls_key, error.message());
  if (!options.client_ca.empty()) {
    tls->load_verify_file(options.client_ca, error);
    if (error) return invalid_argument("client-ca: {}: {}", options.client_ca, error.message());
    tls->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  }
  return tls;
}

}  // namespace

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { stop(); }
int HttpServer::port() const { return impl_->port; }

HttpStats HttpServer::stats() const {
  const ServerState& state = impl_->state;
  return {state.connections, state.accepted, state.refused, state.bad_requests};
}

StatusOr<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options, Handler handler,
                                                        AnswerHook answered) {
  const int threads = std::max(options.io_threads, 1);
  auto impl = std::make_unique<Impl>(threads);
  impl->state.options = options;
  impl->state.handler = std::move(handler);
  impl->state.answered = std::move(answered);
  if (!options.tls_cert.empty() || !options.tls_key.empty()) {
    if (options.tls_cert.empty() || options.tls_key.empty()) {
      return invalid_argument("{} is missing", options.tls_cert.empty() ? "tls-cert" : "tls-key");
    }
    CALLIE_ASSIGN_OR_RETURN(impl->tls, make_tls(options));
  } else if (!options.client_ca.empty()) {
    return invalid_argument("client-ca: needs tls-cert and tls-key");
  }
  boost::system::error_code error;
  Tcp::resolver resolver(impl->io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), error);
  if (error || found.empty()) return not_found("host: {}: {}", options.host, error.message());
  const Tcp::endpoint endpoint = found.begin()->endpoint();
  impl->acceptor.open(endpoint.protocol(), error);
  if (!error) impl->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) impl->acceptor.bind(endpoint, error);
  if (!error) impl->acceptor.listen(4096, error);
  if (error) {
    return callie::error(StatusCode::kUnavailable, "{}:{}: {}", options.host, options.port, error.message());
  }
  impl->port = impl->acceptor.local_endpoint().port();
  asio::co_spawn(impl->io, impl->accept_loop(), asio::detached);
  for (int i = 0; i < threads; ++i) impl->threads.emplace_back([io = &impl->io] { io->run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

bool HttpServer::drain(double timeout_s) {
  ServerState& state = impl_->state;
  state.draining = true;
  asio::post(impl_->io, [this] {
    boost::system::error_code ignored;
    impl_->acceptor.close(ignored);
  });
  for (const auto& connection : open_connections(state)) connection->close_if_idle();
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  while (state.active > 0) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // Who has just been answered reads to the end; who is still sending a request is not waited for.
  const auto closed = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (state.connections > 0 && std::chrono::steady_clock::now() < closed) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return state.active == 0;
}

void HttpServer::stop() {
  if (impl_->threads.empty()) return;
  impl_->state.draining = true;  // whoever is accepted from now on is closed at once
  asio::post(impl_->io, [this] {
    boost::system::error_code ignored;
    impl_->acceptor.close(ignored);
  });
  for (const auto& connection : open_connections(impl_->state)) connection->close();
  impl_->work.reset();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (impl_->state.connections > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  impl_->io.stop();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

int64_t raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int64_t>(limit.rlim_cur);
}

}  // namespace callie::serve
