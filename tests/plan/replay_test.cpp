// The recorded vLLM runs (CALLIE_DATA names the folder that holds serving/): nothing fitted, the bars of the project.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "plan/replay/replay.h"

namespace callie::plan {
namespace {

void expect_close(const LatencySummary& sim, const LatencySummary& real, const char* what) {
  EXPECT_LE(std::abs(sim.mean / real.mean - 1), 0.05) << what;
  EXPECT_LE(std::abs(sim.p99 / real.p99 - 1), 0.08) << what;
}

TEST(Replay, RealRunsWithoutCalibration) {
  const char* data = std::getenv("CALLIE_DATA");
  if (!data) GTEST_SKIP() << "CALLIE_DATA is not set";
  for (const char* hardware : {"RTX4090", "RTXPRO6000"}) {
    ReplayOptions options;
    options.run = fmt::format("{}/serving/llmservingsim/runs/{}/Llama-3.1-8B", data, hardware);
    auto result = replay(options);
    ASSERT_TRUE(result.ok()) << result.status().message();
    expect_close(result->simulated.ttft, result->real.ttft, "TTFT");
    expect_close(result->simulated.tpot, result->real.tpot, "TPOT");
    expect_close(result->simulated.e2e, result->real.e2e, "E2E");
    EXPECT_EQ(result->extrapolated, 0);
  }
}

/// A run folder with the given instances; the requests are those of the recorded run when `requests` names it.
class MadeUpRun {
 public:
  explicit MadeUpRun(const std::string& instances, const std::string& requests = "") {
    char name[] = "/tmp/callie-replay-XXXXXX";
    folder_ = mkdtemp(name);
    std::filesystem::create_directory(folder_ + "/vllm");
    std::ofstream(folder_ + "/config.json") << R"({"link_bw": 16, "link_latency": 20000, "nodes": [{"instances": [)"
                                            << instances << "]}]}";
    std::ofstream(folder_ + "/vllm/meta.json")
        << R"({"vllm_version": "0.19.0", "engine_kwargs": {"max_num_seqs": 128, "max_num_batched_tokens": 2048}})";
    if (!requests.empty()) {
      std::filesystem::copy(requests, folder_ + "/vllm/requests.jsonl");
    } else {
      std::ofstream(folder_ + "/vllm/requests.jsonl")
          << R"({"input_toks": 100, "output_toks": 10, "queued_ts": 1, "first_token_ts": 2, "last_token_ts": 3})";
    }
  }
  ~MadeUpRun() { std::filesystem::remove_all(folder_); }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
};

std::string instance(const std::string& model, const std::string& more) {
  return R"({"model_name": ")" + model + R"(", "hardware": "RTXPRO6000", "npu_mem": {"mem_size": 96})" + more + "}";
}

TEST(Replay, EveryTableAndDegree) {
  const char* data = std::getenv("CALLIE_DATA");
  if (!data) GTEST_SKIP() << "CALLIE_DATA is not set";
  const std::string root = std::string(data) + "/serving/llmservingsim";
  const std::string requests = root + "/runs/RTXPRO6000/Llama-3.1-8B/vllm/requests.jsonl";
  const auto mean_tpot = [&](const std::string& instances) {
    const MadeUpRun run(instances, requests);
    ReplayOptions options;
    options.run = run.folder();
    options.perf = root + "/perf";
    auto result = replay(options);
    EXPECT_TRUE(result.ok()) << instances << ": " << result.status().message();
    if (!result.ok()) return 0.0;
    EXPECT_EQ(result->rows.size(), 300u);
    EXPECT_EQ(result->extrapolated, 0);
    return result->simulated.tpot.mean;
  };
  const std::string llama = "meta-llama/Llama-3.1-8B", moe = "Qwen/Qwen3-30B-A3B-Instruct-2507";
  for (const std::string& model : {llama, std::string("Qwen/Qwen3-32B"), moe}) {
    const double one = mean_tpot(instance(model, ""));
    const double two = mean_tpot(instance(model, R"(, "tp_size": 2)"));
    // Two devices are faster than one, and communication keeps them from halving the time.
    EXPECT_LT(two, one) << model;
    EXPECT_GT(two, one / 2) << model;
    const std::string pd = instance(model, R"(, "pd_type": "prefill")") + "," + instance(model, R"(, "pd_type": "decode")");
    EXPECT_GT(mean_tpot(pd), 0) << model;
  }
  const std::string rank = instance(moe, R"(, "ep_size": 2, "dp_group": "A")");
  const double shared = mean_tpot(rank + "," + rank);
  EXPECT_LT(shared, mean_tpot(instance(moe, "")));
  EXPECT_GT(mean_tpot(instance(moe, R"(, "tp_size": 2, "ep_size": 4, "dp_group": "A")") + "," +
                      instance(moe, R"(, "tp_size": 2, "ep_size": 4, "dp_group": "A")")),
            0);
  // Ranks of a dense model share nothing: they are two engines.
  const std::string dense = instance(llama, R"(, "dp_group": "A")");
  EXPECT_NEAR(mean_tpot(dense + "," + dense) / mean_tpot(instance(llama, "") + "," + instance(llama, "")), 1, 0.02);
}

TEST(Replay, WhatCannotBeReplayedIsSaidInOneLine) {
  const char* data = std::getenv("CALLIE_DATA");
  if (!data) GTEST_SKIP() << "CALLIE_DATA is not set";
  const std::string llama = "meta-llama/Llama-3.1-8B", moe = "Qwen/Qwen3-30B-A3B-Instruct-2507";
  const std::pair<std::string, const char*> cases[] = {
      {instance(llama, R"(, "tp_size": 4)"), "no kernel tables for tp 4 (there are: tp1, tp2)"},
      {instance(llama, R"(, "tp_size": 3)"), "tp 3 does not divide the 32 attention heads"},
      {instance(llama, R"(, "num_npus": 3, "tp_size": 2)"), "num_npus 3 is not tp_size 2 x pp_size 1"},
      {instance("nobody/Nothing", ""), "is not in the catalogue"},
      {instance(moe, R"(, "ep_size": 2)"), "ep_size 2 exceeds the 1 devices"},
      {instance(moe, R"(, "ep_size": 2, "dp_group": "A")") + "," + instance(moe, R"(, "ep_size": 1, "dp_group": "A")"),
       "its members differ"},
      {instance(llama, R"(, "pd_type": "prefill")"), "role prefill without role decode"},
      {instance(llama, R"(, "pd_type": "encode")"), "pd_type"},
      {instance(llama, R"(, "tp_size": -1)"), "nodes[0].instances[0].tp_size"},
  };
  for (const auto& [instances, text] : cases) {
    const MadeUpRun run(instances);
    ReplayOptions options;
    options.run = run.folder();
    options.perf = std::string(data) + "/serving/llmservingsim/perf";
    auto result = replay(options);
    ASSERT_FALSE(result.ok()) << instances;
    EXPECT_NE(result.status().message().find(text), std::string::npos) << result.status().message();
    EXPECT_EQ(result.status().message().find('\n'), std::string::npos);
  }
}

TEST(Replay, MissingFilesAreNamed) {
  ReplayOptions options;
  options.run = "/nowhere";
  auto result = replay(options);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.status().message().find("/nowhere/config.json"), std::string::npos);
}

}  // namespace
}  // namespace callie::plan
