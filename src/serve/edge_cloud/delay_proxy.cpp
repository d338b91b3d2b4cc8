#include "serve/edge_cloud/delay_proxy.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <string>
#include <thread>

#include "serve/http/asio.h"

namespace callie::serve {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// Bytes on their way in one direction; "" is the end.
struct Way {
  explicit Way(asio::io_context& io) : changed(io) {}
  std::deque<std::pair<SteadyTime, std::string>> waiting;
  asio::steady_timer changed;
};

struct Link {
  Link(asio::io_context& io, Tcp::socket from) : client(std::move(from)), server(io), up(io), down(io) {}
  Tcp::socket client, server;
  Way up, down;
};

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

}  // namespace

struct DelayProxy::Impl {
  explicit Impl(int to) : io(1), acceptor(io, {asio::ip::address_v4::loopback(), 0}), target(asio::ip::address_v4::loopback(), to) {}

  asio::awaitable<void> accept_loop() {
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(kNoThrow);
      if (error) co_return;
      asio::co_spawn(io, connect(std::make_shared<Link>(io, std::move(socket))), asio::detached);
    }
  }

  asio::awaitable<void> connect(std::shared_ptr<Link> link) {
    const auto [error] = co_await link->server.async_connect(target, kNoThrow);
    if (error) co_return;
    link->client.set_option(Tcp::no_delay(true));
    link->server.set_option(Tcp::no_delay(true));
    asio::co_spawn(io, read(link, link->client, link->up), asio::detached);
    asio::co_spawn(io, write(link, link->server, link->up), asio::detached);
    asio::co_spawn(io, read(link, link->server, link->down), asio::detached);
    asio::co_spawn(io, write(link, link->client, link->down), asio::detached);
  }

  asio::awaitable<void> read(std::shared_ptr<Link> link, Tcp::socket& from, Way& way) {
    std::string buffer(size_t{64} << 10, '\0');
    for (;;) {
      const auto [error, n] = co_await from.async_read_some(asio::buffer(buffer), kNoThrow);
      const auto delay = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(one_way.load()));
      way.waiting.emplace_back(std::chrono::steady_clock::now() + delay, error ? std::string() : buffer.substr(0, n));
      way.changed.cancel();
      if (error) co_return;
      forwarded += static_cast<int64_t>(n);
    }
  }

  asio::awaitable<void> write(std::shared_ptr<Link> link, Tcp::socket& to, Way& way) {
    asio::steady_timer due(io);
    for (;;) {
      while (way.waiting.empty()) {
        way.changed.expires_at(SteadyTime::max());
        co_await way.changed.async_wait(kNoThrow);
      }
      const auto [time, data] = std::move(way.waiting.front());
      way.waiting.pop_front();
      due.expires_at(time);
      co_await due.async_wait(kNoThrow);
      boost::system::error_code failed;
      if (!data.empty()) std::tie(failed, std::ignore) = co_await asio::async_write(to, asio::buffer(data), kNoThrow);
      if (data.empty() || failed) {
        to.shutdown(Tcp::socket::shutdown_send, failed);
        co_return;
      }
    }
  }

  asio::io_context io;
  Tcp::acceptor acceptor;
  const Tcp::endpoint target;
  std::atomic<double> one_way{0};
  std::atomic<int64_t> forwarded{0};
  std::thread thread;
};

DelayProxy::DelayProxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

DelayProxy::~DelayProxy() {
  impl_->io.stop();
  impl_->thread.join();
}

StatusOr<std::unique_ptr<DelayProxy>> DelayProxy::start(int port) {
  std::unique_ptr<Impl> impl;
  try {
    impl = std::make_unique<Impl>(port);
  } catch (const boost::system::system_error& failed) {
    return error(StatusCode::kUnavailable, "the delay proxy cannot listen: {}", failed.what());
  }
  asio::co_spawn(impl->io, impl->accept_loop(), asio::detached);
  impl->thread = std::thread([running = impl.get()] { running->io.run(); });
  return std::unique_ptr<DelayProxy>(new DelayProxy(std::move(impl)));
}

int DelayProxy::port() const { return impl_->acceptor.local_endpoint().port(); }
void DelayProxy::set_one_way(double seconds) { impl_->one_way = seconds; }
int64_t DelayProxy::bytes() const { return impl_->forwarded; }

}  // namespace callie::serve
