#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace callie::io::testing {

/// A small HTTP/1.1 server on the loopback address for one file, with the faults that a download
/// has to live with. One connection at a time; each is closed after its response.
class HttpServer {
 public:
  std::string content;          ///< served at /file
  std::string etag = "\"v1\"";  ///< empty: none
  bool ranges = true;           ///< false: a range request gets the whole file
  size_t cut_after = SIZE_MAX;  ///< bytes of a body after which the connection is cut …
  int cuts = 0;                 ///< … so many times
  int failures = 0;             ///< so many first requests get `failure_status`
  int failure_status = 503;
  bool stale_range =
      false;  ///< a range request is answered with another total, as if the file had grown
  std::string linked_etag;  ///< X-Linked-ETag of the redirect at /redirect
  std::function<void()> on_request;

  HttpServer() {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    socklen_t size = sizeof(address);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    ::listen(socket_, 16);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    stopping_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }

  std::string url(const std::string& path = "/file") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  /// First lines and headers of all requests so far.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    while (!stopping_) {
      const int client = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      answer(client);
      ::shutdown(client, SHUT_WR);
      ::close(client);
    }
  }

  void answer(int client) {
    std::string request;
    char buffer[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::read(client, buffer, sizeof(buffer));
      if (n <= 0) return;
      request.append(buffer, static_cast<size_t>(n));
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (on_request) on_request();
    if (failures > 0) {
      --failures;
      return send(client, "HTTP/1.1 " + std::to_string(failure_status) +
                              " Busy\r\nContent-Length: 4\r\n\r\nbusy");
    }
    if (request.rfind("GET /redirect", 0) == 0) {
      return send(client,
                  "HTTP/1.1 302 Found\r\nLocation: /file\r\nETag: \"other\"\r\n" +
                      (linked_etag.empty() ? "" : "X-Linked-ETag: \"" + linked_etag + "\"\r\n") +
                      "Content-Length: 3\r\n\r\n302");
    }
    if (request.rfind("GET /loop", 0) == 0) {
      return send(client, "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n");
    }
    if (request.find("/file") == std::string::npos) {
      return send(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    }
    send_file(client, request);
  }

  void send_file(int client, const std::string& request) {
    size_t begin = 0;
    const size_t range = request.find("Range: bytes=");
    if (range != std::string::npos) begin = std::stoull(request.substr(range + 13));
    const size_t if_range = request.find("If-Range: ");
    const bool same =
        if_range == std::string::npos || request.compare(if_range + 10, etag.size(), etag) == 0;
    std::string head = etag.empty() ? "" : "ETag: " + etag + "\r\n";
    std::string body = content;
    if (range != std::string::npos && ranges && same) {
      const size_t total = content.size() + (stale_range ? 7 : 0);
      if (begin >= content.size()) {
        return send(
            client,
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nContent-Range: bytes */" +
                std::to_string(total) + "\r\n\r\n");
      }
      body = content.substr(begin);
      head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(begin) + "-" +
             std::to_string(content.size() - 1) + "/" + std::to_string(total) + "\r\n" + head;
    } else {
      head = "HTTP/1.1 200 OK\r\n" + head;
    }
    head += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    if (cuts > 0 && body.size() > cut_after) {
      --cuts;
      body.resize(cut_after);
    }
    send(client, head + body);
  }

  static void send(int client, const std::string& text) {
    for (size_t at = 0; at < text.size();) {
      const ssize_t n = ::send(client, text.data() + at, text.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<size_t>(n);
    }
  }

  int socket_ = -1, port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace callie::io::testing
