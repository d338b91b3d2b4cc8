// Images: sent once with Open, seen by the target only. The target counts positions of its own (an image is many tokens
// there and none for the text-only draft), and the tokens are those of the target alone.

#include <gtest/gtest.h>

#include "decode/edge_cloud/model_draft.h"
#include "decode/edge_cloud/model_target.h"
#include "decode/edge_cloud/simulation.h"
#include "decode/generate.h"
#include "engine/model_fixture.h"
#include "kernels/vector_ops.h"

namespace callie::edge_cloud {
namespace {

std::string tiny(const std::string& name) { return test::golden_path("tiny/" + name); }

// What a picture says to the model: tokens that its bytes choose.
std::vector<TokenId> image_tokens(const Image& image, int64_t vocab) {
  std::vector<TokenId> out;
  uint64_t hash = HashedTokens().hash();
  for (const char byte : image.data) hash = HashedTokens::next_hash(hash, static_cast<uint8_t>(byte));
  for (int i = 0; i < image.target_tokens; ++i) {
    hash = HashedTokens::next_hash(hash, i);
    out.push_back(static_cast<TokenId>(hash % static_cast<uint64_t>(vocab)));
  }
  return out;
}

std::vector<TokenId> with_images(std::span<const TokenId> tokens, std::span<const Image> images, int64_t vocab) {
  std::vector<TokenId> out;
  for (size_t i = 0; i <= tokens.size(); ++i) {
    for (const Image& image : images) {
      if (image.position != static_cast<int>(i)) continue;
      const auto seen = image_tokens(image, vocab);
      out.insert(out.end(), seen.begin(), seen.end());
    }
    if (i < tokens.size()) out.push_back(tokens[i]);
  }
  return out;
}

/// A tiny random vision-language model: a decoder that gets a picture as tokens of its own. Serves one session.
class SeeingTarget : public SyncTarget {
 public:
  SeeingTarget(std::shared_ptr<const Model> model, ThreadPool& pool) : session_(test::session_or_fail(std::move(model), pool)) {}

  Status open(SessionId, const Open& request) override {
    images_ = request.images;
    images_received += static_cast<int>(request.images.size());
    return ok_status();
  }
  void evict(SessionId) override { text_cached_ = 0; }
  void close(SessionId) override { text_cached_ = 0; }
  int cache_length(SessionId) const override { return text_cached_; }
  TimeNs run(std::span<PassJob> jobs, const std::function<void(const ExitReport&)>&) override {
    const int64_t vocab = session_->runner().vocab_size();
    for (PassJob& job : jobs) {
      std::vector<TokenId> tokens = job.committed;
      tokens.insert(tokens.end(), job.draft.begin(), job.draft.end());
      const std::vector<TokenId> all = with_images(tokens, images_, vocab);
      const auto base = static_cast<int64_t>(all.size() - job.draft.size()) - 1;
      const auto held = session_->tokens();
      const int64_t same = std::mismatch(held.begin(), held.end(), all.begin(), all.end()).first - held.begin();
      session_->truncate(std::min(same, base));
      if (session_->size() < base) {
        EXPECT_TRUE(session_->append(std::span(all).subspan(session_->size(), base - session_->size()), Session::Logits::kNone).ok());
      }
      const auto logits = session_->append(std::span(all).subspan(base), Session::Logits::kAll);
      EXPECT_TRUE(logits.ok());
      job.result.outcome = accept(
          job.draft, [&](int row) { return static_cast<TokenId>(kernels::argmax(logits->data() + row * vocab, vocab)); },
          [](TokenId) { return false; });
      job.result.width = static_cast<int>(job.draft.size()) + 1;
      job.result.verify_us = 30000;
      text_cached_ = static_cast<int>(job.committed.size()) + job.result.outcome.accepted;
    }
    return 30 * kMillisecond;
  }

  int images_received = 0;

 private:
  std::unique_ptr<Session> session_;
  std::vector<Image> images_;
  int text_cached_ = 0;
};

class EdgeCloudImages : public testing::Test {
 protected:
  void SetUp() override {
    target_ = test::load_or_fail(tiny("llama"), pool_);
    open_.effective_vocab = static_cast<uint32_t>(target_->tokenizer().vocab_size());
    open_.prompt_ids = {72, 101, 108, 108, 111, 32, 72, 101, 108};
    open_.max_new = 50;
    open_.ignore_end = true;
    open_.images = {{3, 6, std::string(1000, 'x') + "a picture"}};
  }

  std::vector<TokenId> alone(const Open& open) {
    const auto session = test::session_or_fail(target_, pool_);
    SamplingOptions sampling;
    sampling.temperature = 0;
    Sampler sampler(sampling);
    decode::PlainStrategy strategy(*session, sampler, nullptr);
    decode::GenerateOptions options;
    options.max_new = open.max_new;
    options.ignore_eos = true;
    const auto prompt = with_images(open.prompt_ids, open.images, session->runner().vocab_size());
    const auto result = decode::generate(*session, strategy, prompt, options);
    EXPECT_TRUE(result.ok());
    return result->token_ids;
  }

  std::vector<TokenId> split(const char* draft_name, Mode mode, const std::function<void(Simulation&)>& disturb = {}) {
    LinkModel link;
    Simulation simulation(link, 3);
    SeeingTarget target(target_, pool_);
    simulation.add_server({"seeing", 0, 0, open_.effective_vocab, {}, {}}, {}, target);
    const auto draft_model = test::load_or_fail(tiny(draft_name), pool_);
    SamplingOptions greedy;
    greedy.temperature = 0;
    ModelDraft model(draft_model, test::session_or_fail(draft_model, pool_), Sampler(greedy),
                     static_cast<int>(open_.prompt_ids.size()), 0);
    TimedDraft timed(model, simulation.client_clock(0), [](int) { return 3 * kMillisecond; });
    ClientOptions options;
    options.mode = mode;
    simulation.add_client(open_, options, timed, [](TokenId) { return false; });
    simulation.check_always(true);
    if (disturb) disturb(simulation);
    const Status status = simulation.run(6000 * kSecond);
    EXPECT_TRUE(status.ok()) << status.message();
    images_received = target.images_received;
    bytes_up = simulation.client(0).stats().bytes_up;
    frames = simulation.frames();
    return simulation.emitted(0);
  }

  ThreadPool pool_{1};
  std::shared_ptr<const Model> target_;
  Open open_;
  int images_received = 0;
  int64_t bytes_up = 0, frames = 0;
};

TEST_F(EdgeCloudImages, ATextOnlyDraftGivesTheSeeingTargetsTokens) {
  const auto expected = alone(open_);
  Open blind = open_;
  blind.images.clear();
  ASSERT_NE(expected, alone(blind));  // the picture matters
  for (const char* draft : {"llama", "qwen2"}) {
    for (const Mode mode : kAllModes) {
      EXPECT_EQ(split(draft, mode), expected) << draft << ", " << mode_name(mode);
      EXPECT_EQ(images_received, 1);
    }
  }
}

TEST_F(EdgeCloudImages, AResumedSessionDoesNotSendTheImageAgain) {
  const auto expected = alone(open_);
  split("llama", Mode::kOptimistic);
  const int64_t whole = frames;  // the first six are Open, Opened and pings
  for (int64_t at = 7; at < whole; at += 5) {
    EXPECT_EQ(split("llama", Mode::kOptimistic, [&](Simulation& s) { s.cut_after(at); }), expected);
    EXPECT_EQ(images_received, 1) << "cut after frame " << at;
    EXPECT_LT(bytes_up, 2 * 1000 + 100 * whole);
  }
  // A server that forgot everything gets it once more.
  EXPECT_EQ(split("llama", Mode::kOptimistic, [&](Simulation& s) { s.restart_after(whole / 2); }), expected);
  EXPECT_EQ(images_received, 2);
}

TEST_F(EdgeCloudImages, ATargetWithoutEyesRefuses) {
  SteadyClock clock;
  ExecutorOptions options;
  options.context = 128;
  options.sched.token_budget = 64;
  options.sched.max_seqs = 2;
  const auto target = ModelTarget::create(target_, options, pool_, clock);
  ASSERT_TRUE(target.ok());
  EXPECT_EQ((*target)->open(1, open_).code(), StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace callie::edge_cloud
