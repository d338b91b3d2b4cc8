#include "core/lines.h"

#include <gtest/gtest.h>

namespace callie {
namespace {

TEST(Lines, EmptyOnesAreLeftOut) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(nonempty_lines(""), Lines());
  EXPECT_EQ(nonempty_lines("\n\n"), Lines());
  EXPECT_EQ(nonempty_lines("a"), Lines({"a"}));
  EXPECT_EQ(nonempty_lines("a\n\n b \n"), Lines({"a", " b "}));
  EXPECT_EQ(nonempty_lines("\nlast"), Lines({"last"}));
}

}  // namespace
}  // namespace callie
