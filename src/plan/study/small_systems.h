#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plan/cost/roofline.h"
#include "plan/sim/simulator.h"

namespace callie::plan {

/// Parts of the small systems that theory, or a hand, can work out: reference cases and tests build on them.

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

/// `servers` of a stage beside the model; `service`: a distribution of milliseconds.
inline GroupSpec station(Role role, int servers, const std::string& service) {
  GroupSpec g;
  g.name = role == Role::kPreprocess ? "pre" : role == Role::kRag ? "rag" : "post";
  g.role = role;
  g.station.servers = servers;
  g.station.service.fixed_ms = *Distribution::parse(service);
  return g;
}

/// Poisson arrivals of one class, `rate` a second.
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

inline const std::vector<StageSpec> kGenerate = {{StageKind::kPrefill}, {StageKind::kDecode}};

}  // namespace callie::plan
