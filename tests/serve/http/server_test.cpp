#include "serve/http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "serve/client.h"

namespace callie::serve {
namespace {

std::unique_ptr<HttpServer> echo_server(std::atomic<int>* gone, HttpOptions options = {}) {
  options.port = 0;
  auto server = HttpServer::start(options, [gone](std::shared_ptr<Exchange> exchange) {
    if (exchange->request().path == "/hang") {
      exchange->on_gone([gone] { ++*gone; });
    } else if (exchange->request().path == "/stream") {
      exchange->begin_stream(200, "text/plain");
      for (int i = 0; i < 3; ++i) exchange->write("part" + std::to_string(i));
      exchange->end();
    } else {
      exchange->respond(200, "text/plain", exchange->request().body);
    }
  });
  EXPECT_TRUE(server.ok()) << server.status().message();
  return std::move(*server);
}

TEST(HttpServer, AnswersStreamsAndKeepsConnections) {
  std::atomic<int> gone{0};
  const auto server = echo_server(&gone);
  EXPECT_EQ(request(server->port(), "POST", "/", "hello").body, "hello");
  const Reply streamed = request(server->port(), "GET", "/stream");
  EXPECT_NE(streamed.head.find("chunked"), std::string::npos);
  EXPECT_NE(streamed.body.find("part0"), std::string::npos);
  EXPECT_TRUE(streamed.body.ends_with("0\r\n\r\n"));
  RawClient client(server->port());
  for (int i = 0; i < 3; ++i) {
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(client.read_some().ends_with("ok"));
  }
}

TEST(HttpServer, RefusesWhatIsTooLargeOrMalformed) {
  std::atomic<int> gone{0};
  HttpOptions options;
  options.max_body_bytes = 1000;
  options.max_header_bytes = 2000;
  options.header_timeout_s = 0.2;
  const auto server = echo_server(&gone, options);
  EXPECT_EQ(request(server->port(), "POST", "/", std::string(2000, 'x')).status, 413);
  EXPECT_EQ(request(server->port(), "GET", "/", "", "X: " + std::string(5000, 'y') + "\r\n").status, 431);
  RawClient garbage(server->port());
  garbage.send("\x01\x02 nonsense\r\n\r\n");
  EXPECT_TRUE(garbage.read_all().starts_with("HTTP/1.1 400"));
  RawClient slow(server->port());
  slow.send("GET / HT");
  EXPECT_EQ(slow.read_all(), "");  // closed by the header's deadline
  EXPECT_EQ(request(server->port(), "POST", "/", "fine").body, "fine");
}

TEST(HttpServer, TellsTheHandlerThatTheClientIsGone) {
  std::atomic<int> gone{0};
  const auto server = echo_server(&gone);
  {
    RawClient client(server->port());
    client.send("GET /hang HTTP/1.1\r\nHost: t\r\n\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(gone, 0);
  }
  for (int i = 0; i < 200 && gone == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(gone, 1);
}

TEST(HttpServer, DrainsIdleConnections) {
  std::atomic<int> gone{0};
  const auto server = echo_server(&gone);
  RawClient idle(server->port());
  idle.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nok");
  idle.read_some();
  EXPECT_TRUE(server->drain(2));
  EXPECT_FALSE(RawClient(server->port()).ok());
}

/// Connections that end by themselves in the very moment in which all are closed.
TEST(HttpServer, StopsBesideConnectionsThatEnd) {
  std::atomic<int> gone{0};
  for (int round = 0; round < 100; ++round) {
    auto server = echo_server(&gone);
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([port = server->port(), round, i] {
        RawClient client(port);
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        client.read_some();
        std::this_thread::sleep_for(std::chrono::microseconds(13 * ((round + 7 * i) % 32)));
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200 + round % 16 * 50));
    if (round % 2) server->drain(1);
    server->stop();
    server.reset();  // what was accepted and never looked at
    for (std::thread& client : clients) client.join();
  }
}

}  // namespace
}  // namespace callie::serve
