#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "core/status.h"
#include "plan/sim/result.h"
#include "plan/sim/spec.h"

namespace callie::plan {

/// The few scalars of one machine, fitted on a run of it. Identity when absent.
struct Calibration {
  std::string hardware;
  double kernel_scale = 1;
  double host_per_step_us = 0;
  std::string fitted_on;
  double objective = 0;
  bool present = false;

  Status save(const std::string& path) const;
  static StatusOr<Calibration> load(const std::string& path);
};

/// A recorded run of a real engine: cluster (config.json), engine settings (vllm/meta.json), requests
/// (vllm/requests.jsonl), as LLMServingSim's bench writes them.
struct RecordedRun {
  struct Request {
    int32_t prompt = 0, output = 0;
    double arrival_s = 0;                       ///< on the client's clock
    double queued_s = 0, first_s = 0, last_s = 0;  ///< on the engine's clock
  };
  struct Instance {
    std::string model, hardware, role, dp_group, dtype;
    double memory_gb = 0, memory_share = 0.9, memory_gbs = 0;
    int tp = 1, pp = 1, ep = 1;
    int max_seqs = 0, token_budget = 0, block_size = 0, long_prefill = -1;
    bool prefix_cache = true, reserve_prompt = true;  ///< false: the instance turns it off
  };
  std::string folder;
  std::vector<Instance> instances;
  std::vector<Request> requests;
  double link_gbs = 0, link_latency_ns = 0;  ///< decimal GB/s; the file says GiB/s
  std::string engine;  ///< "vLLM 0.19.0"
  int max_seqs = 256, token_budget = 2048, block_size = 16, max_model_len = 0, blocks = 0, long_prefill = 0;
  int graph_rows = -1;  ///< rows up to which the engine replays captured graphs; -1: not reported
  int dp = 0, tp = 0;   ///< that the engine reports; 0: it does not
  double kv_bytes = 2;  ///< per element
  std::string dtype;
  bool prefix_cache = true, async = false, reserve_prompt = false;
};

/// Errors: kNotFound, kDataLoss: file, line and field.
StatusOr<RecordedRun> load_run(const std::string& folder);

/// Latencies in milliseconds.
struct LatencySummary {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0;
};
struct RunLatencies {
  LatencySummary ttft, tpot, e2e;
};

struct ReplayOptions {
  std::string run;
  std::string perf;  ///< root of the kernel tables; empty: RUN/../../../perf
  std::string policy = "vllm1";
  std::string model_config;  ///< config.json that replaces the catalogue's shape of the run's models; empty: none
  Calibration calibration;
};

struct ReplayResult {
  RunLatencies simulated, real;
  std::vector<RequestRow> rows;
  std::string cost, engine;
  std::string machine;  ///< hardware and model of the run
  std::vector<std::string> notes;
  int64_t preemptions = 0, steps = 0, extrapolated = 0;
  int32_t blocks = 0;
  double simulated_tokens_per_s = 0, real_tokens_per_s = 0;  ///< output tokens; logs of `callie serve` only
  double cpu_ms = 0;

  /// Takes over what a simulation did, and the processor time since `start`.
  void take(SimResult sim, std::clock_t start);
};

/// The specification that replays a recorded run.
StatusOr<SimSpec> replay_spec(const RecordedRun& run, const ReplayOptions& options, std::vector<std::string>& notes);
RunLatencies real_latencies(const RecordedRun& run);
/// Times from the moment an engine takes a request from its queue, as the recorded ones.
RunLatencies simulated_latencies(const std::vector<RequestRow>& rows);

/// Simulates a recorded run. Errors: those of loading, kInvalidArgument.
StatusOr<ReplayResult> replay(const ReplayOptions& options);

/// Fits kernel_scale and host_per_step_us to one run.
StatusOr<Calibration> calibrate_to_run(const ReplayOptions& options);

}  // namespace callie::plan
