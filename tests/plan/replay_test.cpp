// The recorded vLLM runs (CALLIE_DATA names the folder that holds serving/): nothing fitted, the bars of the project.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

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

TEST(Replay, MissingFilesAreNamed) {
  ReplayOptions options;
  options.run = "/nowhere";
  auto result = replay(options);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.status().message().find("/nowhere/config.json"), std::string::npos);
}

}  // namespace
}  // namespace callie::plan
