// The laboratory on a tiny model: every mode gives the same tokens, and recorded times are played back, not taken again.

#include "decode/edge_cloud/laboratory.h"

#include <gtest/gtest.h>

#include "engine/model_fixture.h"

namespace callie::edge_cloud {
namespace {

TEST(EdgeCloudLaboratory, AllModesGiveTheTokensOfOneTokenAPass) {
  ThreadPool pool(1);
  const auto target = test::load_or_fail(test::golden_path("tiny/llama"), pool);
  const auto draft = test::load_or_fail(test::golden_path("tiny/qwen2"), pool);
  LaboratoryOptions options;
  options.modes.assign(std::begin(kAllModes), std::end(kAllModes));
  options.rtt_ms = {0, 30};
  options.max_new = 40;
  options.context = 128;
  options.ignore_end = true;
  options.sampling.temperature = 0;
  auto lab = Laboratory::create(target, draft, options, pool);
  ASSERT_TRUE(lab.ok()) << lab.status().message();
  const std::vector<TokenId> prompts[] = {{72, 101, 108, 108, 111}, {65, 66, 67, 65, 66, 67}};
  for (const auto& prompt : prompts) {
    const Status status = (*lab)->add(prompt);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  ASSERT_EQ((*lab)->rows().size(), 16u);
  for (const LaboratoryRow& row : (*lab)->rows()) {
    EXPECT_TRUE(row.tokens_equal) << mode_name(row.mode);
    EXPECT_EQ(row.tokens, 78) << mode_name(row.mode);
  }
}

}  // namespace
}  // namespace callie::edge_cloud
