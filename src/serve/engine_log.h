#pragma once

#include <deque>
#include <fstream>
#include <mutex>
#include <string>

#include "core/status.h"
#include "engine/executor.h"

namespace callie::serve {

/// The request log, the step log and the last steps in memory; fields as docs/serving.md says. Written by the engine's
/// thread; recent_steps() may be called from any.
class EngineLog {
 public:
  struct Header {
    std::string model;
    int threads = 0, token_budget = 0, max_seqs = 0, block_size = 0, blocks = 0;
  };
  /// Empty paths = no file. Errors: kInvalidArgument names the file.
  Status open(const std::string& request_path, const std::string& step_path, const Header& header);
  /// Reaches the file at once.
  void request(const sched::Sequence& sequence, int block_size);
  /// Reaches the file with the first step that comes a second later, or by flush().
  void step(const StepRecord& record);
  void flush();
  std::string recent_steps() const;

 private:
  void flush_once_a_second(double now_s);

  std::ofstream requests_, steps_;
  double flushed_s_ = 0;
  std::string header_;
  mutable std::mutex mutex_;
  std::deque<std::string> recent_;  // guarded by mutex_
};

/// "stop", "length", "cancelled", "deadline" or "error".
const char* reason_name(sched::FinishReason reason);

}  // namespace callie::serve
