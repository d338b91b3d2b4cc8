#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"

namespace callie {

struct SubprocessOptions {
  /// Variables set for the program beside this process's own.
  std::vector<std::pair<std::string, std::string>> environment;
  /// Bytes kept of each of the two outputs; what comes first is dropped.
  size_t keep_bytes = size_t{1} << 20;
  /// Called about five times a second while the program runs.
  std::function<void()> on_tick;
};

struct SubprocessResult {
  int exit_code = 0;  ///< 128 + signal when a signal ended it
  std::string output, errors;
};

/// Runs a program (found by PATH) with no input and waits for it. On Ctrl-C the program and its
/// children are ended. Errors: kNotFound (no such program), kCancelled (the user asked to stop),
/// kResourceExhausted (cannot start).
StatusOr<SubprocessResult> run_subprocess(const std::vector<std::string>& command,
                                          const SubprocessOptions& options = {});

}  // namespace callie
