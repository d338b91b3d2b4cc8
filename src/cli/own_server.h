#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"

namespace callie::cli {

/// This program as a server in a process of its own, which ends with the object.
class OwnServer {
 public:
  /// Starts `callie ARGUMENTS...` and waits until it says where it listens. Errors: kInternal (cannot be started),
  /// kUnavailable with its last line (it ended before).
  static StatusOr<std::unique_ptr<OwnServer>> start(std::vector<std::string> arguments);
  ~OwnServer();
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;

  /// What it said: "http://127.0.0.1:8080", "127.0.0.1:50051".
  const std::string& address() const { return address_; }

 private:
  OwnServer(pid_t child, std::FILE* lines) : child_(child), lines_(lines) {}

  pid_t child_;
  std::FILE* lines_;  // its stderr
  std::string address_;
};

}  // namespace callie::cli
