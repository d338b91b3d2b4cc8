#pragma once

#include <cstdint>
#include <memory>

#include "core/status.h"

namespace callie::serve {

/// Forwards TCP connections with every byte a fixed time later, in order: a far network on one machine.
class DelayProxy {
 public:
  /// Listens on a free port of 127.0.0.1 and forwards to `port` there. Errors: kUnavailable (no port).
  static StatusOr<std::unique_ptr<DelayProxy>> start(int port);
  ~DelayProxy();

  int port() const;
  /// Of each direction, in seconds, for bytes that come from now on. Any thread.
  void set_one_way(double seconds);
  /// Forwarded so far, both directions. Any thread.
  int64_t bytes() const;

 private:
  struct Impl;
  explicit DelayProxy(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace callie::serve
