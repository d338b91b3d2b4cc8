#include "io/fetch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/interrupt.h"
#include "core/philox.h"
#include "http_server.h"
#include "io/partial_file.h"
#include "io/sha256.h"
#include "test_files.h"

namespace callie::io {
namespace {

using testing::HttpServer;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

std::string noise(size_t size) {
  SequentialRng rng(size, Purpose::kTest);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(rng.next_u32());
  return text;
}

std::string digest_of(const std::string& text) {
  Sha256 hash;
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return hash.hex();
}

class FetchTest : public ::testing::Test {
 protected:
  FetchTest() {
    server_.content = noise(300000);
    options_.quiet = true;
    options_.backoff_s = 0.01;
    options_.stall_s = 2;
  }
  StatusOr<FetchResult> fetch(const std::string& path = "/file") {
    return fetch_file(server_.url(path), target_, options_);
  }
  bool nothing_left() const { return std::filesystem::is_empty(folder_.path()); }

  HttpServer server_;
  TemporaryFolder folder_;
  std::string target_ = folder_ / "model.gguf";
  FetchOptions options_;
};

TEST_F(FetchTest, Sha256MatchesTheStandard) {
  EXPECT_EQ(digest_of("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2, B.1
}

TEST_F(FetchTest, FetchesAndChecks) {
  options_.sha256 = digest_of(server_.content);
  const auto result = fetch();
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(read_file(target_), server_.content);
  EXPECT_EQ(result.value().bytes, 300000u);
  EXPECT_EQ(result.value().sha256, options_.sha256);
  EXPECT_FALSE(std::filesystem::exists(target_ + ".part"));
  EXPECT_FALSE(std::filesystem::exists(target_ + ".part.json"));
}

TEST_F(FetchTest, FetchesAnEmptyFile) {
  server_.content.clear();
  ASSERT_TRUE(fetch().ok());
  EXPECT_EQ(read_file(target_), "");
}

TEST_F(FetchTest, FollowsRedirectsAndChecksTheHubsDigest) {
  server_.linked_etag = digest_of(server_.content);
  auto result = fetch("/redirect");
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->sha256, server_.linked_etag);
  EXPECT_EQ(read_file(target_), server_.content);
  std::filesystem::remove(target_);
  server_.linked_etag = std::string(64, 'a');
  EXPECT_EQ(fetch("/redirect").status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(nothing_left());
  EXPECT_EQ(fetch("/loop").status().code(), StatusCode::kUnavailable);
}

TEST_F(FetchTest, GoesOnAfterCutConnections) {
  server_.cuts = 5;
  server_.cut_after = 50000;
  options_.attempts = 2;
  const auto result = fetch();
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(read_file(target_), server_.content);
  EXPECT_EQ(result.value().transferred, 300000u);  // no byte came twice
  const auto requests = server_.requests();
  ASSERT_EQ(requests.size(), 6u);
  EXPECT_NE(requests[1].find("Range: bytes=50000-"), std::string::npos);
  EXPECT_NE(requests[1].find("If-Range: \"v1\""), std::string::npos);
}

TEST_F(FetchTest, AServerWithoutRangesStartsOver) {
  server_.ranges = false;
  server_.cuts = 2;
  server_.cut_after = 100000;
  ASSERT_TRUE(fetch().ok());
  EXPECT_EQ(read_file(target_), server_.content);
  server_.cuts = 1000;  // never gets further: gives up rather than going round for ever
  std::filesystem::remove(target_);
  options_.attempts = 3;
  EXPECT_EQ(fetch().status().code(), StatusCode::kUnavailable);
}

TEST_F(FetchTest, ALaterCallGoesOn) {
  server_.cuts = 1;
  server_.cut_after = 123456;
  options_.attempts = 1;
  EXPECT_EQ(fetch().status().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(std::filesystem::exists(target_));
  EXPECT_EQ(std::filesystem::file_size(target_ + ".part"), 123456u);
  const auto result = fetch();
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result.value().transferred, 300000u - 123456u);
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, AChangedFileStartsOver) {
  server_.cuts = 1;
  server_.cut_after = 1000;
  options_.attempts = 1;
  ASSERT_FALSE(fetch().ok());
  server_.content = noise(200001);
  server_.etag = "\"v2\"";
  ASSERT_TRUE(fetch().ok());
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, ARangeOfAnotherFileStartsOver) {
  server_.cuts = 1;
  server_.cut_after = 1000;
  options_.attempts = 1;
  ASSERT_FALSE(fetch().ok());
  server_.stale_range = true;  // a server that ignores If-Range
  const auto result = fetch();
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, ACompletePartIsFinished) {
  options_.sha256 = digest_of(server_.content);
  {
    auto part = PartialFile::open(target_);
    ASSERT_TRUE(part.ok());
    ASSERT_TRUE(part->append({reinterpret_cast<const uint8_t*>(server_.content.data()),
                              server_.content.size()})
                    .ok());
    ASSERT_TRUE(
        part->set_source({.url = server_.url(), .validator = "\"v1\"", .total = 300000}).ok());
  }
  const auto result = fetch();
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result.value().transferred, 0u);
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, ADamagedPartIsFetchedAgain) {
  options_.sha256 = digest_of(server_.content);
  {
    auto part = PartialFile::open(target_);
    ASSERT_TRUE(part.ok());
    ASSERT_TRUE(part->append(std::vector<uint8_t>(1000, 7)).ok());
    ASSERT_TRUE(
        part->set_source({.url = server_.url(), .validator = "\"v1\"", .total = 300000}).ok());
  }
  ASSERT_TRUE(fetch().ok());
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, AWrongDigestLeavesNothing) {
  options_.sha256 = std::string(64, '0');
  const auto result = fetch();
  EXPECT_EQ(result.status().code(), StatusCode::kDataLoss);
  EXPECT_NE(result.status().message().find("sha256"), std::string::npos);
  EXPECT_TRUE(nothing_left());
}

TEST_F(FetchTest, BusyServersAreAskedAgain) {
  server_.failures = 3;
  ASSERT_TRUE(fetch().ok());
  EXPECT_EQ(server_.requests().size(), 4u);
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, RefusalsEndAtOnce) {
  const auto none = fetch("/none");
  EXPECT_EQ(none.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(none.status().message(), server_.url("/none") + ": HTTP status 404");
  EXPECT_EQ(server_.requests().size(), 1u);
  server_.failures = 1;
  server_.failure_status = 403;
  EXPECT_NE(fetch().status().message().find("licence"), std::string::npos);
  EXPECT_TRUE(nothing_left());
  EXPECT_EQ(fetch_file("ftp://x/y", target_, options_).status().code(),
            StatusCode::kInvalidArgument);
  options_.attempts = 2;
  EXPECT_EQ(fetch_file("http://127.0.0.1:1/x", target_, options_).status().code(),
            StatusCode::kUnavailable);
  EXPECT_TRUE(nothing_left());
}

TEST_F(FetchTest, OneProcessAtATime) {
  const auto part = PartialFile::open(target_);
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(fetch().status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(FetchTest, CtrlCLeavesSomethingResumable) {
  install_interrupt_handler();
  server_.cuts = 1;
  server_.cut_after = 70000;
  options_.backoff_s = 5;
  server_.on_request = [] { raise(SIGINT); };
  EXPECT_EQ(fetch().status().code(), StatusCode::kCancelled);
  clear_interrupt();
  signal(SIGINT, SIG_DFL);
  server_.on_request = nullptr;
  ASSERT_TRUE(fetch().ok());
  EXPECT_EQ(read_file(target_), server_.content);
}

TEST_F(FetchTest, AFullDiskLeavesSomethingResumable) {
  // A limit on the size of files stands for the full disk.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {100000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto full = fetch();
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(full.status().code(), StatusCode::kResourceExhausted) << full.status().message();
  EXPECT_EQ(std::filesystem::file_size(target_ + ".part"), 100000u);
  const auto result = fetch();
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result.value().transferred, 200000u);
  EXPECT_EQ(read_file(target_), server_.content);
}

}  // namespace
}  // namespace callie::io
