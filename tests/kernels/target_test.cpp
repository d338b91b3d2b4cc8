#include "kernels/target.h"

#include <gtest/gtest.h>

namespace callie::kernels {
namespace {

TEST(Target, EveryListedTargetCanBeForced) {
  const std::vector<std::string> names = list_targets();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(current_target(), names.front());
  for (const std::string& name : names) {
    EXPECT_TRUE(set_target(name));
    EXPECT_EQ(current_target(), name);
    EXPECT_EQ(list_targets(), names);
  }
  EXPECT_FALSE(set_target("no such target"));
  EXPECT_EQ(current_target(), names.back());
  EXPECT_TRUE(set_target(""));
  EXPECT_EQ(current_target(), names.front());
}

}  // namespace
}  // namespace callie::kernels
