// Logs of `callie serve`: a run that follows a known step cost is found again, and bad rows name file, line and field.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/philox.h"
#include "plan/replay/engine_log.h"
#include "plan/spec_helpers.h"

namespace callie::plan {
namespace {

/// 2 ms, 40 us a prompt token, 0.3 ms a decoding sequence, 3 ms a tile of eight rows.
double true_us(const StepSample& s) {
  return 2000 + 40 * s.prefill + 300 * s.decode + 3000 * std::ceil((s.prefill + s.decode) / 8) + 0.5 * s.context;
}

std::vector<StepSample> steps(uint64_t seed, double noise) {
  SequentialRng rng(seed, Purpose::kTest, 31);
  std::vector<StepSample> out;
  for (int i = 0; i < 600; ++i) {
    StepSample s;
    const uint64_t kind = rng.next_below(3);
    if (kind != 0) s.prefill = 1 + static_cast<double>(rng.next_below(256));
    if (kind != 1) s.decode = 1 + static_cast<double>(rng.next_below(16));
    s.context = s.decode * static_cast<double>(20 + rng.next_below(300));
    s.prefill_work = s.prefill * s.prefill / 2;
    s.step_us = true_us(s) * (1 + noise * (static_cast<double>(rng.next_below(2001)) / 1000 - 1));
    out.push_back(s);
  }
  return out;
}

TEST(FittedSteps, HeldOutStepsArePredictedAndOutliersLeftOut) {
  std::vector<StepSample> training = steps(1, 0.03);
  for (size_t i = 0; i < training.size(); i += 12) training[i].step_us *= 5;  // somebody else had the processor
  auto model = fit_steps(training, "test");
  ASSERT_TRUE(model.ok());
  const StepErrors e = step_errors(*model, steps(2, 0));
  EXPECT_EQ(e.steps, 600);
  EXPECT_LE(e.median, 0.02);
  EXPECT_LE(e.p90, 0.06);
  EXPECT_LE(std::abs(e.bias), 0.02);
  int64_t left_out = 0;
  for (const auto& regime : model->regimes) left_out += regime.left_out;
  EXPECT_GE(left_out, 45);
  EXPECT_LE(left_out, 60);
  const std::string path = (std::filesystem::temp_directory_path() / "callie_plan_fit_test.json").string();
  ASSERT_TRUE(model->save(path).ok());
  auto loaded = load_fitted(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  for (const StepSample& s : steps(3, 0)) EXPECT_NEAR(loaded->predict_us(s), model->predict_us(s), 1e-6 * model->predict_us(s));
}

TEST(EngineLog, AReplayOfItsOwnSimulationIsExact) {
  auto model = fit_steps(steps(4, 0), "test");
  ASSERT_TRUE(model.ok());
  SimSpec spec;
  spec.groups = {linear_group({}, "callie", 16, 256, 400, 16)};
  spec.groups[0].cost = make_fitted_cost(*model);
  spec.pipeline = kGenerate;
  spec.per_request = true;
  poisson(spec, 6, 200, "geometric(120)", "geometric(24)", 7);
  auto run = simulate(spec);
  ASSERT_TRUE(run.ok());
  EngineLog log;
  log.model = "m";
  log.token_budget = 256;
  log.max_seqs = 16;
  log.block_size = 16;
  log.blocks = 400;
  for (const RequestRow& r : run->requests) {
    EngineLog::Request q;
    q.arrival_s = to_seconds(r.arrival);
    q.first_s = to_seconds(r.first_token);
    q.finished_s = to_seconds(r.finished);
    q.prompt = r.prompt;
    q.output = q.max_tokens = r.output;
    log.requests.push_back(q);
  }
  std::sort(log.requests.begin(), log.requests.end(), [](const auto& a, const auto& b) { return a.arrival_s < b.arrival_s; });
  auto replayed = replay_engine_log(log, *model);
  ASSERT_TRUE(replayed.ok()) << replayed.status().message();
  EXPECT_NEAR(replayed->simulated.ttft.mean, replayed->real.ttft.mean, 1e-3 * replayed->real.ttft.mean);
  EXPECT_NEAR(replayed->simulated.e2e.p99, replayed->real.e2e.p99, 1e-2 * replayed->real.e2e.p99);
  EXPECT_NEAR(replayed->simulated_tokens_per_s, replayed->real_tokens_per_s, 1e-3 * replayed->real_tokens_per_s);
  // Fewer sequences at a time: no token comes faster than before, and answers queue up.
  auto fewer = replay_engine_log(log, *model, {.max_seqs = 2});
  ASSERT_TRUE(fewer.ok());
  EXPECT_GT(fewer->simulated.e2e.mean, 1.2 * replayed->simulated.e2e.mean);
}

TEST(EngineLog, BadRowsNameFileLineAndField) {
  const std::string path = (std::filesystem::temp_directory_path() / "callie_engine_log_test.jsonl").string();
  const std::string header =
      R"({"model":"m","threads":1,"token_budget":256,"max_seqs":16,"block_size":16,"blocks":100,"version":"0"})";
  const std::string row = R"({"arrival_s":1,"queued_s":1,"scheduled_s":1,"first_token_s":2,"finished_s":3,"prompt_tokens":5,)"
                          R"("cached_tokens":0,"output_tokens":4,"max_tokens":4,"prompt_block_hashes":["ff"],"preemptions":0})";
  const auto message = [&](const std::string& text) {
    std::ofstream(path) << text;
    auto log = load_engine_log(path);
    return log.ok() ? std::string("ok") : log.status().message();
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = row;
    text.replace(text.find(from), from.size(), to);
    return message(header + "\n" + text + "\n");
  };
  EXPECT_EQ(message(header + "\n" + row + "\n"), "ok");
  EXPECT_NE(changed("\"prompt_tokens\":5", "\"prompt_tokens\":-5").find("test.jsonl:2: prompt_tokens"), std::string::npos);
  EXPECT_NE(changed("\"ff\"", "\"xyz\"").find("test.jsonl:2: prompt_block_hashes[0]"), std::string::npos);
  EXPECT_NE(changed("\"first_token_s\":2", "\"first_token_s\":0.5").find("first_token_s lies before"), std::string::npos);
  EXPECT_NE(changed("{", "[").find(":2: not a JSON object"), std::string::npos);
  EXPECT_NE(message(header + "\n").find("no finished requests"), std::string::npos);
  EXPECT_NE(message("{}\n").find("test.jsonl:1: model"), std::string::npos);
}

}  // namespace
}  // namespace callie::plan
