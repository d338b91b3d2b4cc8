#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/cost/step_cost.h"
#include "plan/engine/engine.h"
#include "plan/hardware/preset.h"
#include "plan/model/shape.h"
#include "plan/types.h"
#include "plan/workload/workload.h"

namespace callie::plan {

/// What a group of clients does.
enum class Role : uint8_t { kBoth, kPrefill, kDecode, kPreprocess, kRag, kPostprocess };

/// Work of a station (preprocess, rag, postprocess): milliseconds of one batch.
struct StationService {
  Distribution fixed_ms = Distribution::fixed(0);  ///< of one request, drawn per request
  double per_token_us = 0;                         ///< of each prompt token (preprocess) or output token (postprocess)
  /// Retrieval: embedding of the query, search, re-ranking; see cost/retrieval.h. Milliseconds as functions of the batch.
  double batch_ms = 0;      ///< once per batch
  double single_ms = 0;     ///< more for a batch of one
  double per_query_ms = 0;  ///< of each query in it
};

struct StationSpec {
  int servers = 1;
  int max_batch = 1;
  Ns max_wait = 0;  ///< how long a server waits for a fuller batch
  StationService service;
};

struct AutoscaleSpec {
  bool on = false;
  int min = 1;
  double up_waiting = 4;     ///< waiting requests per active machine above which one is added
  double down_running = 1;   ///< running + waiting per active machine below which one is removed
  Ns period = from_seconds(10);
  Ns delay = from_seconds(60);  ///< from the decision to a machine that serves
};

struct FailureSpec {
  double mtbf_s = 0;  ///< mean time between failures of one machine; 0: never
  double mttr_s = 60; ///< mean time to repair
  std::vector<double> at_s;  ///< exact times at which the group's first machine fails
};

/// A group of equal clients, resolved: every number that the simulation needs.
struct GroupSpec {
  std::string name;
  Role role = Role::kBoth;
  std::string model_name;
  int count = 1;
  int devices = 1;                       ///< accelerators of one client
  std::shared_ptr<const StepCost> cost;  ///< language-model roles
  ModelShape model;
  Hardware hardware;                     ///< for energy and price
  Parallelism parallelism;
  EngineOptions engine;
  /// Data-parallel ranks pad to the largest of them up to this many rows (CUDA graphs); beyond, each keeps its own.
  int graph_rows = 512;
  HostCost host;
  double kv_bytes_per_token = 0;         ///< of the whole model
  double weight_bytes_per_element = 2;
  double host_gbs = 50;                  ///< for swapped KV
  std::shared_ptr<const StepCost> draft_cost;
  StationSpec station;
  AutoscaleSpec autoscale;
  FailureSpec failure;
  std::vector<int> tiers;                ///< indices into SimSpec::tiers, nearest first
  int64_t weights_bytes = 0;             ///< per device, for --explain
};

struct LinkSpec {
  std::string name;
  int from = -1, to = -1;   ///< groups
  double gbs = 50;
  Ns latency = 0;
  int streams = 0;
  bool overlap = false;     ///< layer-wise transfer while the prompt is computed
};

/// A place that keeps KV of prompts outside the accelerators.
struct TierSpec {
  std::string name;
  double capacity_gb = 0;
  double gbs = 50;
  Ns latency = 0;
  int streams = 0;
  bool shared = false;      ///< one for all clients (rack), or one per client (host memory)
  double hit_rate = -1;     ///< for workloads without block hashes: probability that a whole prompt is found
};

enum class StageKind : uint8_t { kPreprocess, kRag, kKv, kPrefill, kDecode, kPostprocess };

struct StageSpec {
  StageKind kind = StageKind::kPrefill;
  double probability = 1;   ///< share of the requests that visit it
  int32_t added_tokens = 0; ///< rag: retrieved tokens appended to the prompt
};

enum class RouterKind : uint8_t {
  kRoundRobin,
  kRandom,
  kLeastWork,        ///< fewest promised tokens
  kLeastRequests,    ///< waiting + running
  kPowerOfTwo,       ///< the less loaded of two drawn ones
  kPrefixQueue,      ///< prefix hits against queue length, on a stale snapshot
  kLeastKv,          ///< fewest KV tokens in use
};

struct RoutingSpec {
  RouterKind kind = RouterKind::kRoundRobin;
  Ns snapshot = 0;          ///< age of what the router knows; 0: always fresh
  double prefix_weight = 1; ///< prompt tokens saved count as much as this many queued tokens
  bool local_pairs = false; ///< disaggregation: prefill i hands over to decode i modulo the count only
};

struct AdmissionSpec {
  int64_t max_live = 0;     ///< requests in the system; more are rejected. 0: no limit
  double rate = 0;          ///< token bucket: requests per second; 0: none
  double burst = 1;
};

struct RetrySpec {
  int attempts = 3;
  Ns delay = from_ms(100);
};

struct SloSpec {
  double ttft_ms = 0, tpot_ms = 0, e2e_ms = 0;  ///< per request; 0: none
  struct Bound {
    enum class Measure : uint8_t { kTtft, kTpot, kE2e } measure;
    double quantile;  ///< -1: the mean
    double limit_ms;
  };
  std::vector<Bound> bounds;
};

struct PowerSpec {
  double compute_weight = 0.6, memory_weight = 0.3, network_weight = 0.1;
  double grams_per_kwh = 0;  ///< carbon; 0: not reported
  double pue = 1;            ///< power usage effectiveness of the building
};

struct SimSpec {
  std::vector<GroupSpec> groups;
  std::vector<LinkSpec> links;
  std::vector<TierSpec> tiers;
  std::vector<StageSpec> pipeline;
  WorkloadSpec workload;
  RoutingSpec routing;
  AdmissionSpec admission;
  RetrySpec retry;
  SloSpec slo;
  PowerSpec power;
  bool fast_forward = true;
  bool plan_each_step = false;   ///< ask the scheduler at every step, also when its last plan can only repeat (tests)
  bool per_request = false;      ///< keep a row of each request
  Ns sample_period = 0;          ///< time series; 0: none
  bool trace_steps = false;      ///< keep the steps (Perfetto)
  size_t max_trace_steps = 200'000;
  Ns horizon = kNever;           ///< stop here; requests not finished count as such
  std::string workload_json;     ///< what the workload was, for the summary
  double queue_growth_limit = 0; ///< stop early when this many requests wait (sweeps); 0: never
};

}  // namespace callie::plan
