#include "decode/edge_cloud/codec.h"

#include <gtest/gtest.h>

#include "core/philox.h"

namespace callie::edge_cloud {
namespace {

Verdict verdict(int n, TokenId y) {
  Verdict v;
  v.round = 1234;
  v.epoch = 2;
  v.outcome = {n, y};
  v.length = 900 + n;
  v.hash = 0x0123456789ABCDEF;
  v.queue_us = 12;
  v.verify_us = 41234;
  v.exit_us = {20000, 30000};
  v.width = 6;
  v.max_draft = 16;
  v.logits_hash = 5;
  return v;
}

TEST(EdgeCloudCodec, RoundTripsEveryKind) {
  Draft draft;
  draft.round = 3;
  draft.epoch = 1;
  draft.base_length = 77;
  draft.base_hash = 42;
  draft.ids = {1, 151935, 0};
  draft.after = After{2, {4, 9}};
  draft.sent_ns = 99;
  const StatusOr<Message> back = decode(encode(draft));
  ASSERT_TRUE(back.ok());
  const Draft& d = std::get<Draft>(*back);
  EXPECT_EQ(d.round, 3u);
  EXPECT_EQ(d.base_length, 77);
  EXPECT_EQ(d.ids, draft.ids);
  EXPECT_EQ(d.after, draft.after);

  Open open;
  open.model_id = "big";
  open.prompt_ids = {5, 6, 7};
  open.generated = 2;
  open.max_new = 9;
  open.sampling.temperature = 0.8f;
  open.sampling.seed = 17;
  open.sampling.stop = {"\n\n"};
  open.sampling.bias = {{4, -1.5f}};
  open.sampling.constraint = {Constraint::Kind::kLark, "start: \"a\""};
  open.images = {{1, 64, "bytes"}};
  const StatusOr<Message> opened = decode(encode(open));
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  const Open& o = std::get<Open>(*opened);
  EXPECT_EQ(o.prompt_ids, open.prompt_ids);
  EXPECT_EQ(o.generated, 2);
  EXPECT_EQ(o.sampling.stop, open.sampling.stop);
  EXPECT_EQ(o.sampling.bias, open.sampling.bias);
  EXPECT_EQ(o.sampling.constraint.kind, Constraint::Kind::kLark);
  EXPECT_EQ(o.sampling.constraint.source, open.sampling.constraint.source);
  EXPECT_EQ(o.images[0].data, "bytes");

  const auto reply = reply_to_ping(encode(Ping{77, false}));
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<Ping>(*decode(*reply)).time, 77u);
  EXPECT_TRUE(std::get<Ping>(*decode(*reply)).reply);
  EXPECT_EQ(reply_to_ping(encode(Ping{77, false}, true))->size(), kPadBytes);
  EXPECT_FALSE(reply_to_ping(*reply));
  EXPECT_FALSE(reply_to_ping(encode(Stop{})));
  EXPECT_FALSE(reply_to_ping(""));

  for (const Message& m : {Message(verdict(2, 3)), Message(Hint{1, 1, {2, 3}, 200}), Message(Stream{40}),
                           Message(Token{5, 6, true, 7, 8}), Message(Stop{}), Message(Ping{4, true}),
                           Message(Error{ErrorCode::kAhead, true, "resume"}),
                           Message(Resume{1, std::string(kSecretBytes, 'x'), 4, 5, 6, 7}),
                           Message(Resumed{4, 5, {1, 2}, true, false, std::string(kSecretBytes, 'y'), 3, 9}),
                           Message(Opened{1, std::string(kSecretBytes, 'z'), 3, 4, 5, false, {500}, 16, 4096, 7, 8, {1, 2}})}) {
    const StatusOr<Message> same = decode(encode(m));
    ASSERT_TRUE(same.ok()) << same.status().message();
    EXPECT_EQ(same->index(), m.index());
    EXPECT_EQ(encode(*same), encode(m));
    EXPECT_EQ(encode(*decode(encode(m, true))), encode(m));
  }
}

TEST(EdgeCloudCodec, PaddedFramesHaveOneSize) {
  for (int n = 0; n <= 16; ++n) {
    EXPECT_EQ(encode(verdict(n, 1 << (n & 15)), true).size(), kPadBytes);
    EXPECT_EQ(encode(Hint{1, 0, {n, n * 9000}, n}, true).size(), kPadBytes);
    Draft draft;
    draft.round = 100000;
    draft.base_length = 4000;
    draft.base_hash = ~0ull;
    draft.sent_ns = ~0ull;
    draft.ids.assign(n, 151935);
    if (n % 2) draft.after = After{100000, {n, 151935}};
    EXPECT_EQ(encode(draft, true).size(), kPadBytes) << n;
    EXPECT_EQ(encode(Token{n, n * 9000, false, 4000000, ~0ull}, true).size(), kPadBytes);
  }
}

TEST(EdgeCloudCodec, RefusesWhatIsOutOfRange) {
  EXPECT_EQ(decode("").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(decode("\xff\xff").status().code(), StatusCode::kDataLoss);
  Draft draft;
  draft.ids.assign(300, 1);
  EXPECT_EQ(decode(encode(draft)).status().code(), StatusCode::kDataLoss);
  draft.ids.assign(5000, 1);
  EXPECT_EQ(decode(encode(draft)).status().code(), StatusCode::kResourceExhausted);
  Open open;
  EXPECT_FALSE(decode(encode(open)).ok());  // no prompt
  open.prompt_ids = {1};
  open.generated = 2;
  const Status generated = decode(encode(open)).status();
  EXPECT_NE(generated.message().find("generated"), std::string::npos);
  open.generated = 0;
  open.sampling.temperature = -1;
  EXPECT_NE(decode(encode(open)).status().message().find("temperature"), std::string::npos);
  open.sampling.temperature = 0;
  open.sampling.constraint = {static_cast<Constraint::Kind>(3), "x"};
  EXPECT_NE(decode(encode(open)).status().message().find("constraint.kind"), std::string::npos);
  open.sampling.constraint = {Constraint::Kind::kJsonSchema, std::string(size_t{300} << 10, '{')};
  EXPECT_NE(decode(encode(open)).status().message().find("constraint.source"), std::string::npos);
  open.sampling.constraint = {};
  open.prompt_ids.assign(size_t{17} << 20, 1);
  EXPECT_EQ(decode(encode(open)).status().code(), StatusCode::kResourceExhausted);
}

TEST(EdgeCloudCodec, SurvivesTruncationAndNoise) {
  SequentialRng rng(1, Purpose::kTest);
  Draft draft;
  draft.ids = {1, 2, 3, 100000};
  draft.after = After{1, {2, 3}};
  const std::string good[] = {encode(draft), encode(verdict(3, 9)), encode(Hint{1, 1, {2, 3}, 200}, true),
                              encode(Resumed{4, 5, {1, 2}, true, false, std::string(kSecretBytes, 'y'), 3, 9})};
  for (const std::string& frame : good) {
    for (size_t n = 0; n < frame.size(); ++n) (void)decode(frame.substr(0, n));
    for (int i = 0; i < 20000; ++i) {
      std::string noisy = frame;
      for (int flips = 0; flips < 3; ++flips) noisy[rng.next_below(noisy.size())] = static_cast<char>(rng.next_u32());
      const StatusOr<Message> m = decode(noisy);
      if (m.ok()) {
        EXPECT_TRUE(decode(encode(*m)).ok());
      }
    }
  }
}

}  // namespace
}  // namespace callie::edge_cloud
