#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callie::serve {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// A request whose header and body have arrived.
struct HttpRequest {
  std::string method;  ///< upper case
  std::string path;    ///< before '?', percent-decoding not applied
  std::string query;   ///< after '?'
  Headers headers;     ///< names in lower case
  std::string body;
  std::string remote;  ///< address of the client

  /// The first header of that (lower-case) name; empty when there is none.
  std::string_view header(std::string_view name) const;
};

/// One request and its answer, which is either one respond() or begin_stream(), write()…, end(). May be used from any
/// thread; calls take effect in order on the connection's own strand. After the client has gone they do nothing.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  virtual ~Exchange() = default;
  const HttpRequest& request() const { return request_; }

  virtual void respond(int status, std::string content_type, std::string body, Headers headers = {}) = 0;
  virtual void begin_stream(int status, std::string content_type, Headers headers = {}) = 0;
  virtual void write(std::string chunk) = 0;
  virtual void end() = 0;

  /// Runs `work` on the connection's strand; work of one exchange runs in order, one at a time.
  virtual void post(std::function<void()> work) = 0;
  /// Called once on the strand if the client goes away before the answer is complete.
  virtual void on_gone(std::function<void()> callback) = 0;

 protected:
  HttpRequest request_;
};

/// Starts the answer to a request; runs on the connection's strand and must not block for long.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;

}  // namespace callie::serve
