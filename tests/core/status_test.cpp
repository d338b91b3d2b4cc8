#include "core/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace callie {
namespace {

StatusOr<std::unique_ptr<int>> make(bool good) {
  if (!good) return not_found("file.gguf: no tensor '{}'", "x");
  return std::make_unique<int>(3);
}

Status use(bool good, int* out) {
  CALLIE_ASSIGN_OR_RETURN(std::unique_ptr<int> value, make(good));
  *out = *value;
  return ok_status();
}

TEST(Status, PropagatesTheFirstError) {
  int value = 0;
  EXPECT_TRUE(use(true, &value).ok());
  EXPECT_EQ(value, 3);
  const Status status = use(false, &value);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "file.gguf: no tensor 'x'");
  EXPECT_EQ(status.with_context("pull").message(), "pull: file.gguf: no tensor 'x'");
}

}  // namespace
}  // namespace callie
