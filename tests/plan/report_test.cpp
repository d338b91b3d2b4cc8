// The report is one page that needs nothing else, and says what the run says.

#include <gtest/gtest.h>

#include "plan/output/report.h"
#include "plan/output/summary.h"
#include "plan/spec_helpers.h"

namespace callie::plan {
namespace {

TEST(Report, IsSelfContainedAndShowsEachPart) {
  Config config;
  config.path = "some/chat.yaml";
  config.spec.groups = {linear_group({.base_us = 3000, .per_prefill_us = 20, .per_decode_us = 30}, "vllm1", 32, 512)};
  config.spec.pipeline = kGenerate;
  poisson(config.spec, 20, 800, "geometric(200)", "geometric(40)", 5);
  config.spec.per_request = config.spec.trace_steps = true;
  config.spec.sample_period = from_ms(200);
  config.spec.slo.bounds.push_back({SloSpec::Bound::Measure::kTtft, 0.99, 500});
  auto result = simulate(config.spec);
  ASSERT_TRUE(result.ok());
  auto load = load_curve(config, 6, 400, true);
  ASSERT_TRUE(load.ok());
  ASSERT_EQ(load->size(), 6u);
  for (size_t i = 1; i < load->size(); ++i) {
    EXPECT_GT((*load)[i].offered_per_s, 1.2 * (*load)[i - 1].offered_per_s);
    EXPECT_GT((*load)[i].ttft_p50, (*load)[i - 1].ttft_p50);
  }
  EXPECT_NEAR((*load)[0].offered_per_s, 4, 0.8);
  SweepPoint cheap{.changes = {{"llm.count", "1"}}, .ttft_p99 = 300, .usd_per_million = 1, .slo_met = true};
  SweepPoint broken{.changes = {{"llm.count", "<2>"}}, .error = "does not fit"};
  ReportInput input;
  input.config = &config;
  input.result = &*result;
  input.config_text = "workload: {arrivals: poisson(20)} # <script>";
  input.load = *load;
  input.sweep = {cheap, broken};
  const std::string html = report_html(input);
  for (const char* part : {"Latency", "Schedule", "Over time", "Machines", "Throughput and latency", "Configurations",
                           "Pareto front", "Time to first token", "does not fit", "&lt;2&gt;", "&lt;script&gt;", "ttft p99"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  for (const char* foreign : {"http://", "https://", "<script", "<link", "<img", "@import", "url(", "nan", "inf "}) {
    EXPECT_EQ(html.find(foreign), std::string::npos) << foreign;
  }
}

}  // namespace
}  // namespace callie::plan
