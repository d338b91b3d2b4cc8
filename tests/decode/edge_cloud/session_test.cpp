// Losslessness of the two state machines: the target's tokens, whatever the draft, the hints and the network do.

#include <gtest/gtest.h>

#include "decode/edge_cloud/client.h"
#include "decode/edge_cloud/closing_line.h"
#include "decode/edge_cloud/codec.h"
#include "decode/edge_cloud/toy_world.h"

namespace callie::edge_cloud {
namespace {

using toy::Language;
using toy::World;

std::string describe(Mode mode, int draft_len, double share, TimeNs one_way) {
  return std::string(mode_name(mode)) + " g=" + std::to_string(draft_len) + " share=" + std::to_string(share) +
         " one_way_ms=" + std::to_string(one_way / kMillisecond);
}

TEST(EdgeCloudSession, EveryModeGivesTheTargetsTokens) {
  constexpr int kTokens = 128;
  int64_t answers = 0, tokens = 0;
  for (uint64_t prompt = 0; prompt < 50; ++prompt) {
    const Language language{prompt + 3, 0.002};
    const Open open = World::request(kTokens, prompt);
    const std::vector<TokenId> expected = toy::plain(language, open.prompt_ids, kTokens);
    for (Mode mode : kAllModes) {
      const bool drafts = mode != Mode::kStreaming && mode != Mode::kPerCall;
      for (int draft_len : {1, 3, 5, 8}) {
        if (!drafts && draft_len > 1) continue;
        for (double share : {0.9, 0.002, -1.0}) {  // good, random, always the same token
          for (TimeNs one_way : {0, 10, 50}) {
            SCOPED_TRACE(describe(mode, draft_len, share, one_way * kMillisecond));
            LinkModel link;
            link.one_way = one_way * kMillisecond;
            World world(language, share, 0.6, link, 1);
            ClientOptions options;
            options.mode = mode;
            options.draft_len = draft_len;
            world.simulation.check_always(prompt == 0);
            world.add(open, options);
            const Status status = world.simulation.run(600 * kSecond);
            ASSERT_TRUE(status.ok()) << status.message();
            ASSERT_EQ(world.simulation.emitted(0), expected);
            ASSERT_EQ(world.target.broken, "");
            ++answers;
            tokens += static_cast<int64_t>(expected.size());
          }
        }
      }
    }
  }
  closing_line(1, "greedy, toy models", {{"prompts", 50}, {"answers", answers}, {"tokens", tokens}, {"different", 0}});
}

TEST(EdgeCloudSession, MaxNewAndEndTokenTruncateInsideABlock) {
  for (int max_new = 1; max_new <= 12; ++max_new) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Language language{seed, 0.1};
      World world(language, 1.0, 1.0, {}, seed);
      ClientOptions options;
      options.mode = Mode::kFull;
      options.draft_len = 5;
      const Open open = World::request(max_new, seed);
      world.simulation.check_always(true);
      world.add(open, options);
      const Status status = world.simulation.run(600 * kSecond);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_EQ(world.simulation.emitted(0), toy::plain(language, open.prompt_ids, max_new));
    }
  }
}

TEST(EdgeCloudSession, DisconnectAtEveryFrameResumes) {
  int points = 0;
  for (Mode mode : {Mode::kFull, Mode::kStreaming, Mode::kSync, Mode::kAdaptive}) {
    Language language{9, 0};
    const Open open = World::request(60);
    const std::vector<TokenId> expected = toy::plain(language, open.prompt_ids, 60);
    int64_t frames = 1;
    for (int64_t at = 0; at <= frames; ++at) {
      World world(language, 0.8, 0.6, {}, 3);
      ClientOptions options;
      options.mode = mode;
      world.simulation.check_always(true);
      world.simulation.cut_after(at);
      world.add(open, options);
      const Status status = world.simulation.run(600 * kSecond);
      ASSERT_TRUE(status.ok()) << mode_name(mode) << " cut after frame " << at << ": " << status.message();
      ASSERT_EQ(world.simulation.emitted(0), expected) << mode_name(mode) << " cut after frame " << at;
      ASSERT_EQ(world.target.broken, "");
      if (at == 0) frames = world.simulation.frames();
      points += at > 0;
    }
  }
  EXPECT_GE(points, 200);
  closing_line(6, "a cut after every frame", {{"points", points}, {"different", 0}});
}

TEST(EdgeCloudSession, ServerRestartAtEveryFrameContinues) {
  int points = 0;
  for (Mode mode : {Mode::kFull, Mode::kStreaming}) {
    Language language{10, 0};
    const Open open = World::request(40);
    const std::vector<TokenId> expected = toy::plain(language, open.prompt_ids, 40);
    int64_t frames = 1;
    for (int64_t at = 0; at <= frames; ++at) {
      World world(language, 0.8, 0.6, {}, 3);
      ClientOptions options;
      options.mode = mode;
      world.simulation.check_always(true);
      world.simulation.restart_after(at);
      world.add(open, options);
      const Status status = world.simulation.run(600 * kSecond);
      ASSERT_TRUE(status.ok()) << "restart after frame " << at << ": " << status.message();
      ASSERT_EQ(world.simulation.emitted(0), expected) << "restart after frame " << at;
      if (at == 0) frames = world.simulation.frames();
      ++points;
    }
  }
  closing_line(7, "a server that forgot everything after every frame", {{"points", points}, {"different", 0}});
}

TEST(EdgeCloudSession, ColdResumeRebuildsTheCache) {
  Language language{12, 0};
  ServerLimits limits;
  limits.warm_ttl = 1;  // the cache is gone before the client is back
  const Open open = World::request(40);
  World world(language, 0.8, 0.6, {}, 3, limits);
  world.simulation.check_always(true);
  world.simulation.cut_after(12);
  world.add(open, {});
  ASSERT_TRUE(world.simulation.run(600 * kSecond).ok());
  EXPECT_EQ(world.simulation.emitted(0), toy::plain(language, open.prompt_ids, 40));
  EXPECT_EQ(world.simulation.client(0).stats().cold_resumes, 1);
}

TEST(EdgeCloudSession, SeveralClientsGetTheirSoloTokens) {
  Language language{13, 0.003};
  toy::ToyTarget target(language, 0.5);
  Simulation simulation({}, 4);
  simulation.add_server(World::info(), {}, target);
  std::vector<std::unique_ptr<toy::ToyDraft>> drafts;
  std::vector<std::unique_ptr<TimedDraft>> timed;
  std::vector<Open> opens;
  for (int i = 0; i < 8; ++i) {
    drafts.push_back(std::make_unique<toy::ToyDraft>(language, i % 2 ? 0.9 : 0.3));
    timed.push_back(std::make_unique<TimedDraft>(*drafts.back(), simulation.client_clock(i),
                                                 [](int) { return 3 * kMillisecond; }));
    opens.push_back(World::request(50, i));
    ClientOptions options;
    options.mode = kAllModes[i];
    simulation.add_client(opens.back(), options, *timed.back(), [](TokenId t) { return t == toy::kEnd; },
                          i * kMillisecond);
  }
  simulation.check_always(true);
  const Status status = simulation.run(600 * kSecond);
  ASSERT_TRUE(status.ok()) << status.message();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(simulation.emitted(i), toy::plain(language, opens[i].prompt_ids, 50)) << i;
}

struct Quiet : ClientSink {
  void connect() override {}
  void send(std::string) override {}
  void close() override {}
  void emit(std::span<const TokenId>) override {}
};

// Found by the fuzzer: a server that never says "ended".
TEST(EdgeCloudSession, AServerThatGivesTooManyTokensIsRefused) {
  Language language{13, 0.003};
  toy::ToyDraft draft(language, 0.9);
  for (Mode mode : {Mode::kPerCall, Mode::kSync, Mode::kStreaming}) {
    Quiet sink;
    ManualClock clock;
    ClientOptions options;
    options.mode = mode;
    const Open request = World::request(6, 1);
    Client client(request, options, draft, sink, clock, [](TokenId) { return false; });
    client.start();
    client.on_connected();
    HashedTokens committed;
    committed.append(request.prompt_ids);
    committed.push(4);
    Opened opened;
    opened.session = 1;
    opened.secret = std::string(kSecretBytes, 's');
    opened.first_token = 4;
    opened.length = committed.length();
    opened.hash = committed.hash();
    opened.max_draft = 4;
    opened.context = 100;
    client.on_frame(encode(opened), clock.now());
    for (int i = 2; i <= 6; ++i) {
      ASSERT_FALSE(client.finished()) << i;
      client.on_frame(encode(Token{committed.length() + i - 1, 4, false, 5, 0}), clock.now());
      EXPECT_EQ(client.check_invariants(), "");
    }
    EXPECT_EQ(client.emitted().size(), 6u);
    if (!client.finished()) client.on_frame(encode(Token{committed.length() + 6, 4, false, 5, 0}), clock.now());
    EXPECT_TRUE(client.finished());
    EXPECT_EQ(client.emitted().size(), 6u);
    EXPECT_EQ(client.check_invariants(), "");
    EXPECT_NE(client.status().message().find("more tokens"), std::string::npos) << client.status().message();
  }
}

}  // namespace
}  // namespace callie::edge_cloud
