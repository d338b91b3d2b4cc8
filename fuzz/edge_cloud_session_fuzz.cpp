// Both state machines against a peer that sends anything at any time: raw bytes, and frames that are well formed and
// wrong. Their invariants hold after every event.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "decode/edge_cloud/client.h"
#include "decode/edge_cloud/codec.h"
#include "decode/edge_cloud/server.h"
#include "decode/edge_cloud/simulation.h"

namespace callie::edge_cloud {
namespace {

constexpr int kVocab = 50;

// Numbers from the input; zeros at its end.
struct Source {
  const uint8_t* at;
  const uint8_t* end;
  uint8_t byte() { return at < end ? *at++ : 0; }
  uint32_t small() {
    const uint8_t b = byte();
    return b < 250 ? b % 24 : b < 253 ? byte() * 256u + byte() : 0xFFFFFFFFu;
  }
  bool empty() const { return at >= end; }
};

void check(const std::string& broken) {
  if (broken.empty()) return;
  std::fprintf(stderr, "invariant: %s\n", broken.c_str());
  std::abort();
}

struct Draft0 : DraftModel {
  int length() const override { return n; }
  void truncate(int length) override { n = length; }
  Guess extend(std::span<const TokenId> tokens) override {
    n += static_cast<int>(tokens.size());
    return {tokens.back() % kVocab, (tokens.back() + 1) % kVocab, 0.5f};
  }
  int n = 0;
};

struct Passes : TargetPasses {
  struct Running {
    uint64_t pass;
    int committed, drafted;
    SessionId session;
  };
  Status open(SessionId session, const Open&) override {
    lengths[session] = 0;
    return ok_status();
  }
  void start(const PassRequest& r) override {
    running.push_back({r.pass, static_cast<int>(r.committed.size()), static_cast<int>(r.draft.size()), r.session});
  }
  void evict(SessionId session) override { lengths[session] = 0; }
  void close(SessionId session) override { lengths.erase(session); }
  int cache_length(SessionId session) const override { return lengths.at(session); }
  std::map<SessionId, int> lengths;
  std::vector<Running> running;
};

struct Sink : ServerSink, ClientSink {
  void send(ConnectionId, std::string frame, uint32_t, bool) override { last = std::move(frame); }
  void hang_up(ConnectionId) override {}
  void connect() override {}
  void send(std::string frame) override { last = std::move(frame); }
  void close() override {}
  void emit(std::span<const TokenId>) override {}
  std::string last;
};

std::vector<TokenId> ids(Source& in) {
  std::vector<TokenId> out(in.byte() % 20);
  for (TokenId& id : out) id = static_cast<TokenId>(in.byte() % (kVocab + 2));
  return out;
}

HashedTokens prefix(const std::vector<TokenId>& tokens, uint32_t length) {
  HashedTokens out;
  for (uint32_t i = 0; i < length && i < tokens.size(); ++i) out.push(tokens[i]);
  return out;
}

void fuzz_server(Source in) {
  ManualClock clock;
  Passes passes;
  Sink sink;
  ServerInfo info;
  info.effective_vocab = kVocab;
  info.exit_permille = {500};
  ServerLimits limits;
  limits.max_context = 60;
  uint8_t counter = 1;
  Server server(info, limits, passes, sink, clock, [&](size_t n) { return std::string(n, static_cast<char>(counter++)); });
  std::vector<TokenId> known{1, 2, 3};  // what session 1 has committed
  uint64_t session = 0;
  std::string secret;
  bool connected[3] = {};  // a transport connects a connection once
  for (int step = 0; step < 200 && !in.empty(); ++step) {
    const ConnectionId connection = 1 + in.byte() % 2;
    switch (in.byte() % 10) {
      case 0:
        if (!connected[connection]) server.on_connect(connection, "c");
        connected[connection] = true;
        break;
      case 1:
        server.on_disconnect(connection);
        connected[connection] = false;
        break;
      case 2: {
        Open m;
        m.effective_vocab = kVocab;
        m.prompt_ids = in.byte() % 2 ? std::vector<TokenId>{1, 2, 3} : ids(in);
        m.generated = static_cast<int>(in.small() % 4);
        m.max_new = static_cast<int>(in.small() % 40) + 1;
        m.hints = m.optimistic = in.byte() % 2;
        m.pad = in.byte() % 2;
        server.on_frame(connection, encode(m));
        break;
      }
      case 3: {
        Draft m;
        m.round = in.small();
        m.epoch = in.small();
        m.base_length = static_cast<int>(in.byte() % 2 ? known.size() : in.small() % 70);
        m.base_hash = prefix(known, static_cast<uint32_t>(m.base_length)).hash();
        m.ids = ids(in);
        if (in.byte() % 2) m.after = After{in.small(), {static_cast<int>(in.small() % 20), static_cast<TokenId>(in.small() % kVocab)}};
        server.on_frame(connection, encode(m));
        break;
      }
      case 4: {
        Resume m;
        m.session = session;
        m.secret = in.byte() % 2 ? secret : std::string(kSecretBytes, static_cast<char>(in.byte()));
        m.length = static_cast<int>(in.small() % 70);
        m.hash = prefix(known, static_cast<uint32_t>(m.length)).hash();
        m.epoch = in.small();
        server.on_frame(connection, encode(m));
        break;
      }
      case 5:
        server.on_frame(connection, encode(Stream{static_cast<int>(in.small() % 70)}));
        break;
      case 6:
        server.on_frame(connection, encode(Stop{}));
        break;
      case 7: {
        const size_t n = std::min<size_t>(in.byte(), in.end - in.at);
        server.on_frame(connection, {reinterpret_cast<const char*>(in.at), n});
        in.at += n;
        break;
      }
      case 8:
        clock.advance(in.byte() * kSecond);
        if (server.next_timer() <= clock.now()) server.on_timer();
        break;
      default: {
        if (passes.running.empty()) break;
        const size_t which = in.byte() % passes.running.size();
        const Passes::Running pass = passes.running[which];
        passes.running.erase(passes.running.begin() + static_cast<long>(which));
        const Outcome outcome{static_cast<int>(in.byte() % (pass.drafted + 1)), static_cast<TokenId>(in.byte() % kVocab)};
        server.on_exit(pass.pass, 0, outcome, 0.7f);
        PassResult result;
        result.outcome = outcome;
        result.ended = in.byte() % 16 == 0;
        passes.lengths[pass.session] = pass.committed + outcome.accepted;
        server.on_pass_done(pass.pass, result);
        const auto sent = decode(sink.last);
        if (sent.ok()) {
          if (const auto* opened = std::get_if<Opened>(&*sent)) {
            session = opened->session;
            secret = opened->secret;
            known = {1, 2, 3, opened->first_token};
          }
        }
      }
    }
    check(server.check_invariants());
  }
}

void fuzz_client(Source in) {
  ManualClock clock;
  Draft0 draft;
  Sink sink;
  Open request;
  request.effective_vocab = kVocab;
  request.prompt_ids = {1, 2, 3};
  request.max_new = 30;
  ClientOptions options;
  options.mode = kAllModes[in.byte() % std::size(kAllModes)];
  Client client(request, options, draft, sink, clock, [](TokenId t) { return t == 7; });
  client.start();
  HashedTokens committed;
  for (TokenId t : {1, 2, 3}) committed.push(t);
  for (int step = 0; step < 300 && !in.empty() && !client.finished(); ++step) {
    const auto emitted = client.emitted();
    committed.truncate(3);
    committed.append(emitted);
    const auto token = static_cast<TokenId>(in.byte() % kVocab);
    const uint64_t next = HashedTokens::next_hash(committed.hash(), token);
    switch (in.byte() % 10) {
      case 0:
        client.on_connected();
        break;
      case 1:
        client.on_disconnected("gone");
        break;
      case 2: {
        Opened m;
        m.session = 1 + in.byte();
        m.secret = std::string(kSecretBytes, 's');
        m.first_token = token;
        m.length = committed.length() + 1;
        m.hash = in.byte() % 8 ? next : 0;
        m.max_draft = static_cast<int>(in.byte() % 17);
        m.context = 100;
        client.on_frame(encode(m), clock.now());
        break;
      }
      case 3: {
        Verdict m;
        m.round = in.small();
        const auto sent = decode(sink.last);
        uint64_t hash = committed.hash();
        if (sent.ok() && std::holds_alternative<Draft>(*sent)) {
          const Draft& d = std::get<Draft>(*sent);
          m.round = d.round;
          m.outcome.accepted = d.ids.empty() ? 0 : static_cast<int>(in.byte() % (d.ids.size() + 1));
          for (int i = 0; i < m.outcome.accepted; ++i) hash = HashedTokens::next_hash(hash, d.ids[i]);
        }
        m.outcome.next = token;
        m.length = committed.length() + m.outcome.accepted + 1;
        m.hash = HashedTokens::next_hash(hash, token);
        m.width = static_cast<int>(in.byte() % 20);
        m.max_draft = static_cast<int>(in.byte() % 17);
        m.verify_us = in.small();
        client.on_frame(encode(m), clock.now());
        break;
      }
      case 4:
        client.on_frame(encode(Hint{in.small(), static_cast<int>(in.byte() % 3), {static_cast<int>(in.byte() % 9), token}, 200}), clock.now());
        break;
      case 5:
        client.on_frame(encode(Token{committed.length() + 1 + static_cast<int>(in.byte() % 3), token, in.byte() % 16 == 0, 5, 0}), clock.now());
        break;
      case 6: {
        Resumed m;
        const auto sent = decode(sink.last);
        if (sent.ok() && std::holds_alternative<Resume>(*sent)) m.epoch = std::get<Resume>(*sent).epoch;
        m.replay.assign(in.byte() % 3, token);
        m.length = committed.length() + static_cast<int>(m.replay.size());
        HashedTokens after = committed;
        after.append(m.replay);
        m.hash = after.hash();
        m.secret = std::string(kSecretBytes, 't');
        client.on_frame(encode(m), clock.now());
        break;
      }
      case 7:
        client.on_frame(encode(Error{static_cast<ErrorCode>(1 + in.byte() % 11), in.byte() % 2 == 0, "x"}), clock.now());
        break;
      case 8: {
        const size_t n = std::min<size_t>(in.byte(), in.end - in.at);
        client.on_frame({reinterpret_cast<const char*>(in.at), n}, clock.now());
        in.at += n;
        break;
      }
      default:
        clock.advance(in.byte() * kMillisecond * 50);
        if (client.next_timer() <= clock.now()) client.on_timer();
    }
    for (int i = 0; i < 8 && client.work(); ++i) check(client.check_invariants());
    check(client.check_invariants());
  }
}

}  // namespace
}  // namespace callie::edge_cloud

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const callie::edge_cloud::Source in{data + 1, data + size};
  if (data[0] % 2) {
    callie::edge_cloud::fuzz_server(in);
  } else {
    callie::edge_cloud::fuzz_client(in);
  }
  return 0;
}
