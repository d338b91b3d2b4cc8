// The HTTP server on a real socket: whatever bytes come, every reply is well formed HTTP/1.0 or 1.1, and however they are cut into
// packets, the replies are the same.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "serve/client.h"
#include "serve/http/server.h"

namespace callie::serve {
namespace {

// Answers with what it understood of the request; a body that begins with 's' is answered in chunks.
void echo(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  std::string text = request.method + " " + request.path + " " + request.query + " " +
                     std::string(request.header("x-test")) + "\n" + request.body;
  if (!request.body.starts_with('s')) return exchange->respond(200, "application/octet-stream", std::move(text));
  exchange->begin_stream(200, "application/octet-stream");
  exchange->write(text.substr(0, text.size() / 2));
  exchange->write(text.substr(text.size() / 2));
  exchange->end();
}

HttpServer& server() {
  static const std::unique_ptr<HttpServer> kServer = [] {
    HttpOptions options;
    options.port = 0;
    options.max_header_bytes = 2048;
    options.max_body_bytes = 4096;
    auto started = HttpServer::start(options, echo);
    if (!started.ok()) std::abort();
    return std::move(*started);
  }();
  return *kServer;
}

// Thousands of connections are ended in a minute; when no port is left, some are free again after a while.
std::unique_ptr<RawClient> connected() {
  for (int tries = 0; tries < 120; ++tries) {
    auto client = std::make_unique<RawClient>(server().port());
    if (client->ok()) return client;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  std::abort();
}

std::string reply(std::string_view bytes, size_t step) {
  const std::unique_ptr<RawClient> connection = connected();
  RawClient& client = *connection;
  client.set_no_delay();
  for (size_t at = 0; at < bytes.size(); at += step) client.send(std::string(bytes.substr(at, step)));
  client.finish();
  return client.read_all();
}

}  // namespace
}  // namespace callie::serve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::serve;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  // A machine that stands still can run into the server's timeouts: what counts is seen three times.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const std::string whole = reply(bytes, std::max<size_t>(bytes.size(), 1));
    if (!whole.empty() && !whole.starts_with("HTTP/1.0 ") && !whole.starts_with("HTTP/1.1 ")) std::abort();
    if (reply(bytes, 1 + data[0] % 64) == whole) return 0;
  }
  std::fprintf(stderr, "the reply depends on the packets\n");
  std::abort();
}
