#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "decode/edge_cloud/clock.h"
#include "decode/edge_cloud/hashed_tokens.h"
#include "decode/edge_cloud/message.h"
#include "decode/edge_cloud/target_passes.h"

namespace callie::edge_cloud {

using ConnectionId = uint64_t;

/// What the handshake compares and announces.
struct ServerInfo {
  std::string model_id;
  uint64_t tokenizer_hash = 0, template_hash = 0;
  uint32_t effective_vocab = 0;
  std::vector<uint32_t> exit_permille;
  std::vector<uint32_t> table_us;  ///< [m-1] measured pass over m positions; may be empty
};

struct ServerLimits {
  int max_sessions = 64;
  int max_sessions_per_client = 8;
  int max_draft = 16;
  int max_context = 4096;
  TimeNs warm_ttl = 60 * kSecond;   ///< a disconnected session keeps its cache this long
  TimeNs cold_ttl = 600 * kSecond;  ///< and its tokens this long
  float hint_confidence = 0.5f;     ///< a first exit speaks up at this confidence
};

/// Counters since start; see docs/edge-cloud.md.
struct ServerStats {
  int64_t passes = 0, tokens = 0, width = 0;
  int64_t hints = 0, hint_hits = 0, stale_drafts = 0, optimistic_used = 0, optimistic_dropped = 0;
  int64_t sessions = 0, resumes = 0, cold_resumes = 0, refused = 0;
};

/// Where the server's frames go. `round` and `is_hint` let a queue drop an unsent hint when its verdict comes.
class ServerSink {
 public:
  virtual ~ServerSink() = default;
  virtual void send(ConnectionId connection, std::string frame, uint32_t round, bool is_hint) = 0;
  virtual void hang_up(ConnectionId connection) = 0;
};

/// The server's state machine: sessions, idempotent drafts, hints, verdicts, streams, resume. It does no I/O and never
/// waits; one thread calls it. The server is the authority over the committed sequence.
class Server {
 public:
  /// `random_bytes(n)` gives unpredictable bytes for session ids and secrets.
  Server(ServerInfo info, ServerLimits limits, TargetPasses& passes, ServerSink& sink, const Clock& clock,
         std::function<std::string(size_t)> random_bytes);
  ~Server();

  /// A new connection; `client` names who is behind it for the limits.
  void on_connect(ConnectionId connection, const std::string& client);
  void on_disconnect(ConnectionId connection);
  void on_frame(ConnectionId connection, std::string_view frame);
  /// The exit's provisional outcome of a running pass.
  void on_exit(uint64_t pass, int exit, Outcome outcome, float confidence);
  void on_pass_done(uint64_t pass, PassResult result);
  /// When on_timer() wants to be called next.
  TimeNs next_timer() const;
  void on_timer();

  const ServerStats& stats() const { return stats_; }
  int session_count() const { return static_cast<int>(sessions_.size()); }
  /// The first broken invariant of §"Invariants" in docs/edge-cloud.md, or "". For tests.
  std::string check_invariants() const;

 private:
  struct Session;
  struct Connection {
    std::string client;
    Session* session = nullptr;
  };

  void handle(ConnectionId connection, Open&& message);
  void handle(ConnectionId connection, Resume&& message);
  void handle(Session& session, Draft&& message);
  void start_pass(Session& session, std::vector<TokenId> draft, bool is_verify);
  void next_pass(Session& session);
  void finish_open(Session& session, const PassResult& result);
  void send(const Session& session, const Message& message, uint32_t round = 0, bool is_hint = false);
  void refuse(ConnectionId connection, ErrorCode code, bool retriable, const std::string& message);
  void drop(SessionId id);
  void adapt_cap(Session& session, int width, int accepted);

  const ServerInfo info_;
  const ServerLimits limits_;
  TargetPasses& passes_;
  ServerSink& sink_;
  const Clock& clock_;
  std::function<std::string(size_t)> random_bytes_;
  std::map<ConnectionId, Connection> connections_;
  std::map<SessionId, std::unique_ptr<Session>> sessions_;
  std::map<uint64_t, SessionId> running_;
  uint64_t next_pass_ = 1;
  ServerStats stats_;
};

}  // namespace callie::edge_cloud
