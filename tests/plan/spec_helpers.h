#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include "plan/cost/roofline.h"
#include "plan/sim/simulator.h"

namespace callie::plan {

inline bool full_tests() { return std::getenv("CALLIE_FULL") != nullptr; }

/// A client whose step takes base + per_prefill * prompt tokens + per_decode * sequences + per_context * context.
inline GroupSpec linear_group(const LinearOptions& cost, const std::string& policy = "vllm1", int max_seqs = 256,
                              int budget = 2048, int blocks = 1 << 16, int block = 16) {
  GroupSpec g;
  g.name = "llm";
  g.cost = make_linear_cost(cost);
  g.engine.policy = policy;
  g.engine.max_seqs = max_seqs;
  g.engine.token_budget = budget;
  g.engine.blocks = blocks;
  g.engine.block_size = block;
  g.kv_bytes_per_token = 1000;
  return g;
}

inline GroupSpec station(Role role, int servers, const std::string& service) {
  GroupSpec g;
  g.name = role == Role::kPreprocess ? "pre" : role == Role::kRag ? "rag" : "post";
  g.role = role;
  g.station.servers = servers;
  g.station.service.fixed_ms = *Distribution::parse(service);
  return g;
}

inline void poisson(SimSpec& spec, double rate, int64_t requests, const std::string& prompt, const std::string& output,
                    uint64_t seed = 1) {
  spec.workload.arrivals.kind = ArrivalSpec::Kind::kPoisson;
  spec.workload.arrivals.rate = rate;
  spec.workload.requests = requests;
  spec.workload.seed = seed;
  ClassSpec c;
  c.prompt = *Distribution::parse(prompt);
  c.output = *Distribution::parse(output);
  spec.workload.classes = {c};
}

/// Requests given one by one: arrival in microseconds, prompt, output.
struct Given {
  double us;
  int prompt, output;
};
inline void given(SimSpec& spec, const std::vector<Given>& requests) {
  auto trace = std::make_shared<Trace>();
  for (const Given& g : requests) {
    Trace::Row row;
    row.arrival_s = g.us * 1e-6;
    row.prompt = g.prompt;
    row.output = g.output;
    trace->rows.push_back(row);
  }
  trace->source = "test";
  spec.workload.trace = trace;
  spec.workload.arrivals.kind = ArrivalSpec::Kind::kTrace;
}

inline const std::vector<StageSpec> kGenerate = {{StageKind::kPrefill}, {StageKind::kDecode}};

}  // namespace callie::plan
