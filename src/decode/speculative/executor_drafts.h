#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "decode/speculative/speculator.h"
#include "engine/executor.h"

namespace callie::decode {

/// Drafts for the sequences that an Executor generates: all of one step's together. What is generated does not change.
class ExecutorDrafts {
 public:
  explicit ExecutorDrafts(std::unique_ptr<Speculator> speculator) : speculator_(std::move(speculator)) {}

  /// Sets the executor's draft hook. Both must live as long as steps are run.
  void attach(Executor& executor);

 private:
  void propose(Executor& executor);
  void learn_pass(const Executor& executor);

  std::unique_ptr<Speculator> speculator_;
  std::vector<Speculator::Request> requests_;
  std::vector<sched::Handle> handles_;                     // of requests_
  std::unordered_map<uint64_t, sched::Handle> followed_;   // by the speculator's name for it
  int64_t steps_seen_ = 0;
};

}  // namespace callie::decode
