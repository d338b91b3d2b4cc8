#include "kernels/target.h"

#include <gtest/gtest.h>

#include "kernels/matmul_kernels.h"

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

TEST(Target, MatrixKernelsFollow) {
  ASSERT_TRUE(set_target(list_targets().back()));
  EXPECT_EQ(&active_matmul_kernels(), list_matmul_kernels().back());
  ASSERT_TRUE(set_target(""));
  EXPECT_EQ(&active_matmul_kernels(), list_matmul_kernels().front());
}

}  // namespace
}  // namespace callie::kernels
