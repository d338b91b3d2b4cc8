#include "core/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/json.h"
#include "core/lines.h"

namespace callie {
namespace {

/// stderr of this process, as a pipe that is read only when asked.
class StderrPipe {
 public:
  StderrPipe() : kept_(dup(STDERR_FILENO)) {
    EXPECT_EQ(pipe(ends_), 0);
    dup2(ends_[1], STDERR_FILENO);
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  ~StderrPipe() {
    dup2(kept_, STDERR_FILENO);
    for (int end : {ends_[0], ends_[1], kept_}) close(end);
  }
  std::string read_all() {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(ends_[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
    return text;
  }

 private:
  int ends_[2];
  int kept_;
};

TEST(Log, AReaderThatStallsCostsLinesAndNeverTime) {
  StderrPipe pipe;
  init_logging("info");
  for (int i = 0; i < 20000; ++i) spdlog::info("line {} of a log that nobody reads", i);
  const auto kept = nonempty_lines(pipe.read_all()).size();
  EXPECT_GT(kept, 100);
  spdlog::info("read again");
  const std::string after = pipe.read_all();
  EXPECT_EQ(after, fmt::format("warning: {} lines of this log were lost: nobody read them\ninfo: read again\n", 20000 - kept));
}

TEST(Log, AnyMessageIsOneJsonObject) {
  StderrPipe pipe;
  init_logging("info", LogFormat::kJson);
  spdlog::info("GET /a\"b\\c\n\xff");
  init_logging();
  const Json line = Json::parse(pipe.read_all());
  EXPECT_EQ(line["message"], "GET /a\"b\\c\n\xEF\xBF\xBD");
  EXPECT_EQ(line["level"], "info");
}

}  // namespace
}  // namespace callie
