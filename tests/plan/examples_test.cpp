// The ready-made configurations run, and broken ones give one line with file, line and key.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plan/config/config.h"
#include "plan/sim/simulator.h"
#include "plan/workload/importers.h"

namespace callie::plan {
namespace {

TEST(Examples, EachRuns) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CALLIE_SOURCE_DIR "/examples/plan")) {
    const std::string name = entry.path().stem();
    if (entry.path().extension() != ".yaml") continue;
    std::vector<Override> changes;
    if (name == "speed") {
      changes.emplace_back("workload.requests", "2000");
      if (!std::filesystem::exists(CALLIE_SOURCE_DIR "/../shared/data/serving")) continue;  // a supplied trace
    }
    ++count;
    ConfigLoader loader;
    auto config = loader.load(entry.path(), changes);
    ASSERT_TRUE(config.ok()) << config.status().message();
    auto result = simulate(config->spec);
    ASSERT_TRUE(result.ok()) << name << ": " << result.status().message();
    EXPECT_EQ(result->finished, result->arrived) << name;
  }
  EXPECT_GE(count, 12);
}

TEST(Config, UnknownKeysAndBadValuesNameTheirLine) {
  const std::string good =
      "models: {m: {name: llama-3.1-8b}}\nhardware: {h: {preset: h100_sxm}}\n"
      "clients:\n  - {name: c, model: m, hw: h}\nworkload: {arrivals: poisson(1), prompt: 5, output: 5}\n";
  const auto message = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    const std::string path = (std::filesystem::temp_directory_path() / "callie_plan_config_test.yaml").string();
    std::ofstream(path) << text;
    ConfigLoader loader;
    auto config = loader.load(path);
    return config.ok() ? std::string("ok") : config.status().message();
  };
  EXPECT_EQ(message("models", "models"), "ok");
  EXPECT_NE(message("hw: h}", "hw: h, tpp: 2}").find(":4: clients[0].tpp: unknown key"), std::string::npos);
  EXPECT_NE(message("poisson(1)", "poisson(nan)").find(":5: workload.arrivals"), std::string::npos);
  EXPECT_NE(message("prompt: 5", "prompt: -5").find(":5: workload.prompt"), std::string::npos);
  EXPECT_NE(message("hw: h}", "hw: h, tp: 3}").find("tp 3 does not divide"), std::string::npos);
  EXPECT_NE(message("name: llama-3.1-8b", "name: llama-3.1-405b").find("does not fit"), std::string::npos);
  EXPECT_NE(message("llama-3.1-8b", "no-such-model").find("not in the catalogue"), std::string::npos);
}

TEST(Importers, BadRowsNameFileLineAndField) {
  const auto message = [](const std::string& text) {
    auto trace = import_trace_text(text, "t.csv", "");
    return trace.ok() ? std::string("ok") : trace.status().message();
  };
  EXPECT_EQ(message("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,10,5\n"), "ok");
  EXPECT_NE(message("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,-10,5\n").find("t.csv:2: ContextTokens"),
            std::string::npos);
  EXPECT_NE(message("arrived_at,num_prefill_tokens,num_decode_tokens\nnan,1,1\n").find("t.csv:2: arrived_at"), std::string::npos);
  EXPECT_NE(message("{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 0}\n").find("t.csv:1: output_length"),
            std::string::npos);
  EXPECT_NE(message("nonsense\n1\n").find("t.csv:1"), std::string::npos);
}

}  // namespace
}  // namespace callie::plan
