// What the server refuses, frame by frame: used secrets, drafts beyond its limits or from sequences it never had, frames that
// no client sends. A refusal starts no pass and changes no session.

#include <gtest/gtest.h>

#include "decode/edge_cloud/closing_line.h"
#include "decode/edge_cloud/codec.h"
#include "decode/edge_cloud/server.h"
#include "decode/edge_cloud/simulation.h"

namespace callie::edge_cloud {
namespace {

constexpr ConnectionId kClient = 1, kThief = 2;
constexpr TokenId kNext = 7;

// Passes that end when the test says so, always with no draft accepted and kNext.
class World : public ServerSink, public TargetPasses {
 public:
  World() : server({"big", 11, 22, 100, {}, {}}, limits(), *this, *this, clock, [this](size_t n) { return std::string(n, ++byte_); }) {
    server.on_connect(kClient, "client");
    Open open;
    open.tokenizer_hash = 11;
    open.template_hash = 22;
    open.effective_vocab = 100;
    open.prompt_ids = {3, 4, 5};
    open.max_new = 50;
    give(kClient, open);
    finish();
    const auto opened = std::get<Opened>(last());
    session = opened.session;
    secret = opened.secret;
    sequence.append(std::vector<TokenId>{3, 4, 5, kNext});
  }

  static ServerLimits limits() {
    ServerLimits out;
    out.max_draft = 4;
    return out;
  }

  void send(ConnectionId, std::string frame, uint32_t, bool) override { sent.push_back(std::move(frame)); }
  void hang_up(ConnectionId connection) override { hung_up.push_back(connection); }
  Status open(SessionId, const Open&) override { return ok_status(); }
  void start(const PassRequest& request) override {
    running = request.pass;
    cached_ = static_cast<int>(request.committed.size());
    ++passes;
  }
  void evict(SessionId) override {}
  void close(SessionId) override {}
  int cache_length(SessionId) const override { return cached_; }

  void give(ConnectionId connection, const Message& message) { server.on_frame(connection, encode(message)); }
  void finish() {
    PassResult result;
    result.outcome = {0, kNext};
    result.width = 1;
    server.on_pass_done(running, std::move(result));
  }
  Message last() {
    auto message = decode(sent.back());
    EXPECT_TRUE(message.ok());
    return *message;
  }
  Draft draft(std::vector<TokenId> ids) const {
    Draft out;
    out.round = 1;
    out.base_length = sequence.length();
    out.base_hash = sequence.hash();
    out.ids = std::move(ids);
    return out;
  }
  // One round: the draft is verified, one token comes.
  void round(uint32_t epoch) {
    Draft one = draft({8});
    one.epoch = epoch;
    give(kClient, one);
    finish();
    sequence.push(kNext);
    ASSERT_EQ(std::get<Verdict>(last()).length, sequence.length());
  }
  Resume resume(const std::string& with, uint32_t epoch) const { return {session, with, sequence.length(), sequence.hash(), 1, epoch}; }
  // Gives the frame and expects this refusal, no pass, and the session as it was.
  void expect_refused(ConnectionId connection, const std::string& frame, ErrorCode code, bool hangs_up) {
    const int before = passes;
    sent.clear();
    hung_up.clear();
    server.on_frame(connection, frame);
    ASSERT_EQ(sent.size(), 1u);
    const Message answer = last();
    ASSERT_TRUE(std::holds_alternative<Error>(answer));
    EXPECT_EQ(std::get<Error>(answer).code, code) << std::get<Error>(answer).message;
    EXPECT_FALSE(std::get<Error>(answer).message.empty());
    EXPECT_EQ(!hung_up.empty(), hangs_up);
    EXPECT_EQ(passes, before);
    EXPECT_EQ(server.check_invariants(), "");
    ++refusals;
  }
  void expect_refused(const Message& message, ErrorCode code, bool hangs_up = false) {
    expect_refused(kClient, encode(message), code, hangs_up);
  }

  ManualClock clock;
  Server server;
  std::vector<std::string> sent;
  std::vector<ConnectionId> hung_up;
  uint64_t running = 0, session = 0;
  std::string secret;
  HashedTokens sequence;
  int passes = 0, refusals = 0;

 private:
  int cached_ = 0;
  char byte_ = 'a';
};

TEST(EdgeCloudRefusals, DraftsBeyondTheLimitsOrFromElsewhere) {
  World world;
  world.expect_refused(world.draft({1, 2, 3, 4, 5}), ErrorCode::kLimit);
  world.expect_refused(world.draft({100}), ErrorCode::kProtocol);
  Draft draft = world.draft({1});
  draft.q_mode = 1;
  world.expect_refused(draft, ErrorCode::kUnsupported);
  draft.q_mode = 2;
  world.expect_refused(draft, ErrorCode::kUnsupported);
  draft = world.draft({1});
  draft.base_hash ^= 1;
  world.expect_refused(draft, ErrorCode::kAhead);
  draft = world.draft({1});
  ++draft.base_length;
  world.expect_refused(draft, ErrorCode::kAhead);

  // A copy of a draft that was verified is answered by the same verdict, without a pass.
  const Draft stale = world.draft({8});
  world.round(0);
  const int passes = world.passes;
  world.sent.clear();
  world.give(kClient, stale);
  EXPECT_EQ(world.passes, passes);
  ASSERT_EQ(world.sent.size(), 1u);
  EXPECT_EQ(std::get<Verdict>(world.last()).length, world.sequence.length());
  closing_line(15, "drafts that are refused", {{"refusals", world.refusals}});
}

TEST(EdgeCloudRefusals, UsedWrongAndForeignSecrets) {
  World world;
  world.server.on_connect(kThief, "thief");
  world.expect_refused(kThief, encode(world.resume(std::string(kSecretBytes, '?'), 1)), ErrorCode::kSecret, false);
  Resume unknown = world.resume(world.secret, 1);
  ++unknown.session;
  world.expect_refused(kThief, encode(unknown), ErrorCode::kUnknownSession, false);
  Resume elsewhere = world.resume(world.secret, 1);
  elsewhere.hash ^= 1;
  world.expect_refused(kThief, encode(elsewhere), ErrorCode::kProtocol, false);
  Resume ahead = world.resume(world.secret, 1);
  ++ahead.length;
  world.expect_refused(kThief, encode(ahead), ErrorCode::kProtocol, false);

  // The right one works once; the first draft behind it makes it worthless.
  world.give(kClient, world.resume(world.secret, 1));
  const std::string fresh = std::get<Resumed>(world.last()).secret;
  ASSERT_NE(fresh, world.secret);
  world.round(1);
  world.expect_refused(kThief, encode(world.resume(world.secret, 2)), ErrorCode::kSecret, false);
  world.give(kClient, world.resume(fresh, 2));
  EXPECT_TRUE(std::holds_alternative<Resumed>(world.last()));
  closing_line(15, "secrets that are refused", {{"refusals", world.refusals}});
}

TEST(EdgeCloudRefusals, FramesThatNoClientSends) {
  World world;
  int refusals = 0;
  const std::string frames[] = {"", "noise", std::string(1, '\xff'), encode(world.draft({1})).substr(0, 5),
                                encode(Verdict{}), encode(Token{5, 1, false, 0, 0}), encode(Hint{1, 0, {0, 1}, 9})};
  for (const std::string& frame : frames) {
    World fresh;
    fresh.expect_refused(kClient, frame, ErrorCode::kProtocol, true);
    refusals += fresh.refusals;
  }
  Draft huge = world.draft({});
  huge.ids.assign(5000, 1);
  world.expect_refused(kClient, encode(huge), ErrorCode::kLimit, true);
  closing_line(15, "frames that are refused", {{"refusals", refusals + world.refusals}});
}

}  // namespace
}  // namespace callie::edge_cloud
