#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <string>

namespace callie::serve {

/// A plain blocking client for tests: sends bytes, reads to the end.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval limit{.tv_sec = 300, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ok_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool ok() const { return ok_; }
  void send(const std::string& bytes) { (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// Nothing more will be sent; the answer can still be read.
  void finish() { shutdown(fd_, SHUT_WR); }
  /// Every send() is a packet of its own.
  void set_no_delay() {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  std::string read_some() {
    char buffer[65536];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
  }
  std::string read_all() {
    std::string out;
    for (std::string part = read_some(); !part.empty(); part = read_some()) out += part;
    return out;
  }

 private:
  int fd_;
  bool ok_;
};

struct Reply {
  int status = 0;
  std::string head, body;
};

/// One request on a connection of its own.
inline Reply request(int port, const std::string& method, const std::string& path, const std::string& body = {},
                     const std::string& headers = {}) {
  RawClient client(port);
  client.send(method + " " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + headers +
              "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  const std::string all = client.read_all();
  const size_t split = all.find("\r\n\r\n");
  Reply reply;
  if (split == std::string::npos) return reply;
  reply.head = all.substr(0, split);
  reply.body = all.substr(split + 4);
  reply.status = std::stoi(all.substr(9, 3));
  return reply;
}

}  // namespace callie::serve
