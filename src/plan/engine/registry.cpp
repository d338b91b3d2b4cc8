#include "plan/engine/policies.h"

namespace callie::plan {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Engine> (*make)(const EngineOptions&);
};

// One line per policy.
constexpr Entry kPolicies[] = {
    {"static", make_static},   {"continuous", make_orca}, {"orca", make_orca},   {"chunked", make_chunked},
    {"mixed", make_chunked},   {"sarathi", make_chunked}, {"vllm0", make_vllm0}, {"vllm1", make_vllm1},
    {"callie", make_callie},
};

}  // namespace

StatusOr<std::unique_ptr<Engine>> make_engine(const EngineOptions& options) {
  if (options.token_budget < 1) return invalid_argument("token_budget must be at least 1");
  if (options.max_seqs < 1) return invalid_argument("max_seqs must be at least 1");
  if (options.block_size < 1) return invalid_argument("kv.block must be at least 1");
  if (options.blocks < 1) return invalid_argument("no KV block fits into the memory that the weights leave");
  if (options.async && options.policy != "vllm1") return invalid_argument("async: only policy vllm1 has it");
  if (options.swap && options.policy != "vllm1") return invalid_argument("preemption: only policy vllm1 swaps");
  for (const Entry& entry : kPolicies) {
    if (options.policy == entry.name) return entry.make(options);
  }
  return invalid_argument("policy \"{}\" does not exist", options.policy);
}

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kPolicies) names.emplace_back(entry.name);
  return names;
}

}  // namespace callie::plan
