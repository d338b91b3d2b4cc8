#pragma once

#include <string>
#include <vector>

#include "plan/cost/fitted.h"
#include "plan/replay/replay.h"

namespace callie::plan {

/// The request log of `callie serve` (docs/serving.md).
struct EngineLog {
  struct Request {
    double arrival_s = 0, scheduled_s = 0, first_s = 0, finished_s = 0;
    int32_t prompt = 0, cached = 0, output = 0, max_tokens = 0, priority = 0, preemptions = 0;
    std::vector<sched::BlockHash> hashes;
  };
  std::string path, model, version;
  int threads = 0, token_budget = 0, max_seqs = 0, block_size = 0, blocks = 0;
  std::vector<Request> requests;  ///< that produced tokens, by arrival
  int64_t skipped = 0;            ///< refused, cancelled or failed before the first token
};
/// Errors: kNotFound, kDataLoss: file, line and field.
StatusOr<EngineLog> load_engine_log(const std::string& path);

/// What a change of the engine's settings would have done to the same requests; 0 leaves a setting as it was.
struct EngineLogOptions {
  int token_budget = 0, max_seqs = 0, blocks = 0;
  bool no_prefix_cache = false;
  std::string policy = "callie";
};

/// Simulates the requests of a log at their times with a fitted step cost. TTFT and E2E count from arrival.
StatusOr<ReplayResult> replay_engine_log(const EngineLog& log, const FittedModel& cost, const EngineLogOptions& options = {});

/// How well `model` predicts steps that it was not fitted on: absolute percentage errors.
struct StepErrors {
  int64_t steps = 0;
  double median = 0, p90 = 0, bias = 0;
};
StepErrors step_errors(const FittedModel& model, const std::vector<StepSample>& steps);

}  // namespace callie::plan
