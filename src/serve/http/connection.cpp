#include "serve/http/connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <chrono>

#include "core/log.h"

namespace callie::serve {
namespace {

using ErrorCode = beast::error_code;
constexpr int kClientGone = 499;  // as nginx logs it
constexpr unsigned kChunks = 11;  // HTTP/1.1, from which on answers may come in chunks
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

std::chrono::steady_clock::duration seconds(double s) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(s));
}

std::string error_body(std::string_view message) {
  return fmt::format(R"({{"error":{{"message":"{}","type":"invalid_request_error","param":null,"code":null}}}})",
                     message);
}

// True when the peer has closed its side or the connection is dead; works below TLS and behind unread data.
bool peer_closed(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  return info.tcpi_state != TCP_ESTABLISHED;
}

HttpRequest convert(http::request<http::string_body>&& message, const std::string& remote) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string_view target(message.target().data(), message.target().size());
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request.body = std::move(message.body());
  request.remote = remote;
  return request;
}

template <typename Stream>
class Connection : public ConnectionBase {
 public:
  template <typename... Args>
  Connection(ServerState& state, Args&&... args) : state_(state), stream_(std::forward<Args>(args)...) {
    beast::error_code ignored;
    const auto endpoint = socket().remote_endpoint(ignored);
    if (!ignored) remote_ = endpoint.address().to_string();
  }
  ~Connection() override {
    {
      std::lock_guard lock(state_.mutex);
      state_.open.erase(this);
    }
    --state_.connections;
  }

  void start() override {
    {
      // Not in the constructor: others may take hold of what they find here.
      std::lock_guard lock(state_.mutex);
      state_.open.insert(this);
    }
    asio::co_spawn(
        stream_.get_executor(),
        [self = std::static_pointer_cast<Connection>(shared_from_this())] { return self->run(); }, asio::detached);
  }
  void close_if_idle() override {
    asio::post(stream_.get_executor(), [this, self = shared_from_this()] {
      if (idle_) close_socket();
    });
  }
  void close() override {
    asio::post(stream_.get_executor(), [this, self = shared_from_this()] { close_socket(); });
  }

 private:
  static constexpr bool kTls = !std::is_same_v<Stream, beast::tcp_stream>;
  beast::tcp_stream& tcp() { return beast::get_lowest_layer(stream_); }
  Tcp::socket& socket() { return tcp().socket(); }
  void close_socket() {
    ErrorCode ignored;
    socket().close(ignored);
    if (exchange_) exchange_->mark_gone();
  }

  asio::awaitable<void> run() {
    ErrorCode ignored;
    socket().set_option(Tcp::no_delay(true), ignored);
    if constexpr (kTls) {
      tcp().expires_after(seconds(state_.options.header_timeout_s));
      auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kToken);
      if (error) co_return;
    }
    while (co_await serve_one()) {
    }
    tcp().expires_after(seconds(1));
    if constexpr (kTls) {
      co_await stream_.async_shutdown(kToken);
    } else {
      socket().shutdown(Tcp::socket::shutdown_send, ignored);
      // The client reads the answer before a reset can overtake it.
      for (int i = 0; i < 64; ++i) {
        buffer_.clear();
        auto [error, n] = co_await stream_.async_read_some(buffer_.prepare(65536), kToken);
        if (error || n == 0) break;
      }
    }
    socket().close(ignored);
  }

  // Receives and answers one request. False when the connection is to be closed.
  asio::awaitable<bool> serve_one() {
    const HttpOptions& options = state_.options;
    if (buffer_.size() == 0) {
      if (state_.draining) co_return false;
      idle_ = true;
      tcp().expires_after(seconds(options.idle_timeout_s));
      auto [error, n] = co_await stream_.async_read_some(buffer_.prepare(4096), kToken);
      idle_ = false;
      if (error) co_return false;
      buffer_.commit(n);
    }
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<uint32_t>(options.max_header_bytes));
    parser.body_limit(static_cast<uint64_t>(options.max_body_bytes));
    tcp().expires_after(seconds(options.header_timeout_s));
    {
      auto [error, n] = co_await http::async_read_header(stream_, buffer_, parser, kToken);
      if (error) co_return co_await refuse(error);
    }
    if (parser.content_length() && *parser.content_length() > static_cast<uint64_t>(options.max_body_bytes)) {
      co_return co_await refuse(http::error::body_limit);
    }
    tcp().expires_after(seconds(options.body_timeout_s));
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on(http::status::continue_, 11);
      auto [error, n] = co_await http::async_write(stream_, go_on, kToken);
      if (error) co_return false;
    }
    {
      auto [error, n] = co_await http::async_read(stream_, buffer_, parser, kToken);
      if (error) co_return co_await refuse(error);
    }
    const bool keep_alive = parser.get().keep_alive();
    const bool head = parser.get().method() == http::verb::head;
    const unsigned version = parser.get().version();
    exchange_ = std::make_shared<ConnectionExchange>(stream_.get_executor(), convert(parser.release(), remote_));
    ++state_.active;
    tcp().expires_never();
    const auto received = std::chrono::steady_clock::now();
    watch();
    state_.handler(exchange_);
    const bool fine = co_await answer(keep_alive && !state_.draining, head, version);
    // The end of the connection is the end of a stream that has no chunks.
    const bool stays = keep_alive && !(exchange_->streaming && version < kChunks);
    if (!fine) exchange_->mark_gone();
    exchange_->ended = true;
    exchange_->gone_callback = nullptr;  // it may hold what holds the exchange
    if (state_.answered) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - received;
      state_.answered(exchange_->request(), fine ? exchange_->status : kClientGone, took.count());
    }
    exchange_.reset();
    --state_.active;
    co_return fine && stays && !state_.draining;
  }

  // Notices the client's departure while its answer is being made.
  void watch() {
    asio::co_spawn(
        stream_.get_executor(),
        [self = std::static_pointer_cast<Connection>(shared_from_this()),
         exchange = exchange_]() -> asio::awaitable<void> {
          asio::steady_timer pause(exchange->strand);
          // An answer that is there at once is given to a client that has closed its side behind the request, too.
          for (;;) {
            pause.expires_after(std::chrono::milliseconds(20));
            co_await pause.async_wait(kToken);
            if (exchange->ended || exchange->gone || !self->socket().is_open()) co_return;
            if (peer_closed(self->socket().native_handle())) co_return exchange->mark_gone();
          }
        },
        asio::detached);
  }

  asio::awaitable<bool> answer(bool keep_alive, bool head, unsigned version) {
    auto exchange = exchange_;
    while (exchange->status == 0 && !exchange->gone) co_await exchange->wake.async_wait(kToken);
    if (exchange->gone) co_return false;
    tcp().expires_after(seconds(state_.options.write_timeout_s));
    if (!exchange->streaming) {
      http::response<http::string_body> message(static_cast<http::status>(exchange->status), version);
      set_fields(message, *exchange, keep_alive);
      if (!head) message.body() = std::move(exchange->body);
      message.content_length(head ? exchange->body.size() : message.body().size());
      http::response_serializer<http::string_body> serializer(message);
      auto [error, n] = head ? co_await http::async_write_header(stream_, serializer, kToken)
                             : co_await http::async_write(stream_, serializer, kToken);
      co_return !error;
    }
    const bool chunked = version >= kChunks;
    http::response<http::empty_body> message(static_cast<http::status>(exchange->status), version);
    set_fields(message, *exchange, keep_alive && chunked);
    message.chunked(chunked);
    http::response_serializer<http::empty_body> serializer(message);
    {
      auto [error, n] = co_await http::async_write_header(stream_, serializer, kToken);
      if (error) co_return false;
    }
    std::string chunk;
    for (;;) {
      tcp().expires_never();
      while (exchange->pending.empty() && !exchange->ended && !exchange->gone) {
        exchange->wake.expires_at(asio::steady_timer::time_point::max());
        co_await exchange->wake.async_wait(kToken);
      }
      if (exchange->gone) co_return false;
      tcp().expires_after(seconds(state_.options.write_timeout_s));
      if (exchange->pending.empty()) break;
      chunk.clear();
      chunk.swap(exchange->pending);
      const asio::const_buffer bytes(chunk.data(), chunk.size());
      auto [error, n] = chunked ? co_await asio::async_write(stream_, http::make_chunk(bytes), kToken)
                                : co_await asio::async_write(stream_, bytes, kToken);
      if (error) co_return false;
    }
    if (!chunked) co_return true;
    auto [error, n] = co_await asio::async_write(stream_, http::make_chunk_last(), kToken);
    co_return !error;
  }

  template <typename Message>
  void set_fields(Message& message, const ConnectionExchange& exchange, bool keep_alive) {
    message.set(http::field::content_type, exchange.content_type);
    for (const auto& [name, value] : exchange.headers) message.set(name, value);
    message.keep_alive(keep_alive);
  }

  // Answers a request that could not be received, as far as the client may still listen.
  asio::awaitable<bool> refuse(ErrorCode error) {
    if (error == http::error::end_of_stream || error == asio::error::operation_aborted) co_return false;
    ++state_.bad_requests;
    int status = 400;
    std::string message = "malformed HTTP request";
    if (error == http::error::body_limit) {
      status = 413;
      message = fmt::format("the body is larger than {} bytes", state_.options.max_body_bytes);
    } else if (error == http::error::header_limit) {
      status = 431;
      message = fmt::format("the header is larger than {} bytes", state_.options.max_header_bytes);
    } else if (error == beast::error::timeout) {
      co_return false;
    } else if (error.category() != make_error_code(http::error::bad_method).category()) {
      co_return false;
    }
    http::response<http::string_body> answer(static_cast<http::status>(status), 11);
    answer.set(http::field::content_type, "application/json");
    answer.body() = error_body(message);
    answer.keep_alive(false);
    answer.prepare_payload();
    tcp().expires_after(seconds(5));
    co_await http::async_write(stream_, answer, kToken);
    co_return false;
  }

  ServerState& state_;
  Stream stream_;
  beast::flat_buffer buffer_;
  std::string remote_;
  bool idle_ = false;
  std::shared_ptr<ConnectionExchange> exchange_;
};

}  // namespace

std::shared_ptr<ConnectionBase> make_connection(Tcp::socket socket, ServerState& state, asio::ssl::context* tls) {
  if (!tls) return std::make_shared<Connection<beast::tcp_stream>>(state, std::move(socket));
  return std::make_shared<Connection<asio::ssl::stream<beast::tcp_stream>>>(
      state, beast::tcp_stream(std::move(socket)), *tls);
}

}  // namespace callie::serve
