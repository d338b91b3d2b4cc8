#pragma once

#include <memory>
#include <string>

#include "decode/speculative/speculator.h"
#include "engine/executor.h"
#include "serve/backend.h"

namespace callie::serve {

struct ModelBackendOptions {
  ExecutorOptions executor;
  std::string request_log;  ///< JSON lines; empty = none
  std::string step_log;
};

/// A language model behind its own thread: the executor's loop, fed by a queue. `pool` must outlive it. `speculator` may
/// be null: no drafts.
/// Errors: those of Executor::create; a log that cannot be written.
StatusOr<std::shared_ptr<Backend>> make_model_backend(const std::string& id, std::shared_ptr<const Model> model,
                                                      const ModelBackendOptions& options, ThreadPool& pool,
                                                      std::unique_ptr<decode::Speculator> speculator = nullptr);

}  // namespace callie::serve
