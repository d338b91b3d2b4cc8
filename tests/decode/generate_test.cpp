#include "decode/generate.h"

#include <gtest/gtest.h>

#include "engine/model_fixture.h"

namespace callie::decode {
namespace {

struct Outcome {
  Generation result;
  uint64_t hash = 0;
};

Outcome run(const std::string& path, int threads, SamplingOptions sampling, GenerateOptions options, const OnText& on_text = {}) {
  ThreadPool pool(threads);
  const auto model = test::load_or_fail(path, pool);
  SessionOptions session_options;
  session_options.context = 64;
  const auto session = test::session_or_fail(model, pool, session_options);
  Sampler sampler(sampling);
  LogitsHash hash;
  PlainStrategy strategy(*session, sampler, &hash);
  const std::vector<int32_t> prompt = {72, 101, 108, 108, 111};
  auto result = generate(*session, strategy, prompt, options, on_text);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return {*result, hash.digest()};
}

const std::string kTiny = test::golden_path("tiny/llama");

TEST(Generate, SameSeedSameTextWhateverTheThreads) {
  SamplingOptions sampling;
  sampling.temperature = 1.2f;
  sampling.seed = 42;
  GenerateOptions options;
  options.max_new = 40;
  options.ignore_eos = true;
  const Outcome one = run(kTiny, 1, sampling, options);
  const Outcome three = run(kTiny, 3, sampling, options);
  EXPECT_EQ(one.result.token_ids, three.result.token_ids);
  EXPECT_EQ(one.hash, three.hash);
  sampling.seed = 43;
  EXPECT_NE(run(kTiny, 1, sampling, options).result.token_ids, one.result.token_ids);
}

TEST(Generate, AFullContextIsAnAnnouncedStop) {
  SamplingOptions sampling;
  sampling.temperature = 0;
  GenerateOptions options;
  options.max_new = 1000;
  options.ignore_eos = true;
  const Outcome full = run(kTiny, 1, sampling, options);
  EXPECT_EQ(full.result.finish_reason, FinishReason::kContext);
  EXPECT_EQ(full.result.token_ids.size(), 64u - 5 + 1);  // the last token needs no place
}

TEST(Generate, StopsAtLengthStopStringAndOnRequest) {
  SamplingOptions sampling;
  sampling.temperature = 0;
  GenerateOptions options;
  options.max_new = 12;
  options.ignore_eos = true;
  const Outcome whole = run(kTiny, 1, sampling, options);
  EXPECT_EQ(whole.result.finish_reason, FinishReason::kLength);
  EXPECT_EQ(whole.result.token_ids.size(), 12u);

  std::string shown;
  const Outcome cut = run(kTiny, 1, sampling, options, [&](std::string_view text) {
    shown += text;
    return false;
  });
  EXPECT_EQ(cut.result.finish_reason, FinishReason::kCancelled);
  EXPECT_TRUE(whole.result.text.starts_with(shown));

  ASSERT_GE(whole.result.text.size(), 6u);
  options.stops = {whole.result.text.substr(3, 2)};
  const Outcome stopped = run(kTiny, 1, sampling, options);
  EXPECT_EQ(stopped.result.finish_reason, FinishReason::kStop);
  EXPECT_EQ(stopped.result.text, whole.result.text.substr(0, whole.result.text.find(options.stops[0])));
}

TEST(Generate, APromptLongerThanTheContextIsRefused) {
  ThreadPool pool(1);
  const auto model = test::load_or_fail(kTiny, pool);
  SessionOptions session_options;
  session_options.context = 4;
  const auto session = test::session_or_fail(model, pool, session_options);
  Sampler sampler(SamplingOptions{});
  PlainStrategy strategy(*session, sampler, nullptr);
  const std::vector<int32_t> prompt = {1, 2, 3, 4};
  const auto result = generate(*session, strategy, prompt, {});
  EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(result.status().message().find("--ctx"), std::string::npos);
}

}  // namespace
}  // namespace callie::decode
