#include "decode/edge_cloud/server.h"

#include <algorithm>

#include "decode/edge_cloud/codec.h"

namespace callie::edge_cloud {

struct Server::Session {
  SessionId id = 0;
  std::string client;
  ConnectionId connection = 0;  // 0: nobody is connected
  std::string secret, pending_secret;
  uint32_t epoch = 0;

  HashedTokens committed;
  int first_new = 0;
  int max_length = 0;  // of `committed`
  bool hints = false, wants_hints = true, optimistic = false, pad = false;

  bool opened = false, ended = false, closing = false, evicted = false;
  uint64_t pass = 0;  // 0: none is running
  bool pass_is_verify = false;
  std::vector<TokenId> pass_draft;
  uint32_t round = 0;        // of the running or the last verify pass
  uint32_t draft_epoch = 0;
  std::optional<Outcome> hint;  // last one sent in the running pass
  std::optional<Draft> queued;  // optimistic, at most one
  std::optional<Verdict> last_verdict;
  int stream_until = 0;
  uint64_t logits_hash = 0;
  TimeNs disconnected_at = 0;

  // Draft length that the measured acceptance has earned; see adapt_cap().
  int cap = 0;
  int cap_rounds = 0;
  double cap_accepted = 1;

  int room() const { return max_length - committed.length(); }
};

Server::Server(ServerInfo info, ServerLimits limits, TargetPasses& passes, ServerSink& sink, const Clock& clock,
               std::function<std::string(size_t)> random_bytes)
    : info_(std::move(info)),
      limits_(limits),
      passes_(passes),
      sink_(sink),
      clock_(clock),
      random_bytes_(std::move(random_bytes)) {}

Server::~Server() = default;

void Server::on_connect(ConnectionId connection, const std::string& client) { connections_[connection] = {client}; }

void Server::on_disconnect(ConnectionId connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  if (Session* session = found->second.session) {
    session->connection = 0;
    session->disconnected_at = clock_.now();
    session->queued.reset();
    session->stream_until = 0;
    if (!session->opened && !session->pass) drop(session->id);
  }
  connections_.erase(connection);
}

void Server::send(const Session& session, const Message& message, uint32_t round, bool is_hint) {
  if (session.connection) sink_.send(session.connection, encode(message, session.pad), round, is_hint);
}

void Server::refuse(ConnectionId connection, ErrorCode code, bool retriable, const std::string& message) {
  ++stats_.refused;
  sink_.send(connection, encode(Error{code, retriable, message.substr(0, 1000)}), 0, false);
}

void Server::on_frame(ConnectionId connection, std::string_view frame) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  StatusOr<Message> decoded = decode(frame);
  if (!decoded.ok()) {
    refuse(connection,
           decoded.status().code() == StatusCode::kResourceExhausted ? ErrorCode::kLimit : ErrorCode::kProtocol, false,
           decoded.status().message());
    sink_.hang_up(connection);
    return;
  }
  Message& message = *decoded;
  Session* session = found->second.session;
  if (auto* open = std::get_if<Open>(&message)) {
    handle(connection, std::move(*open));
  } else if (auto* resume = std::get_if<Resume>(&message)) {
    handle(connection, std::move(*resume));
  } else if (std::holds_alternative<Ping>(message)) {
    if (auto reply = reply_to_ping(frame)) sink_.send(connection, std::move(*reply), 0, false);
  } else if (!session) {
    // Frames that a session's end has overtaken on the wire.
    if (std::holds_alternative<Draft>(message)) {
      refuse(connection, ErrorCode::kUnknownSession, true, "no session on this connection");
    }
  } else if (auto* draft = std::get_if<Draft>(&message)) {
    handle(*session, std::move(*draft));
  } else if (auto* stream = std::get_if<Stream>(&message)) {
    session->stream_until = std::max(session->stream_until, std::min(stream->until_length, session->max_length));
    next_pass(*session);
  } else if (std::holds_alternative<Stop>(message)) {
    drop(session->id);
  } else {
    refuse(connection, ErrorCode::kProtocol, false, "a client does not send this kind of frame");
    sink_.hang_up(connection);
  }
}

void Server::handle(ConnectionId connection, Open&& m) {
  Connection& from = connections_[connection];
  const auto no = [&](ErrorCode code, const std::string& text) { refuse(connection, code, false, text); };
  if (m.version_major != kVersionMajor) {
    return no(ErrorCode::kVersion, fmt::format("protocol version {}, this server speaks {}", m.version_major, kVersionMajor));
  }
  if (Session* s = from.session) {
    const int length = static_cast<int>(m.prompt_ids.size());
    HashedTokens prompt;
    prompt.append(m.prompt_ids);
    if (length <= s->committed.length() && prompt.hash() == s->committed.hash_at(length)) return;  // a copy
    return no(ErrorCode::kProtocol, "this connection has a session already");
  }
  if (m.tokenizer_hash != info_.tokenizer_hash) {
    return no(ErrorCode::kTokenizer, "the draft's tokenizer differs from the target's");
  }
  if (m.effective_vocab != info_.effective_vocab) {
    return no(ErrorCode::kTokenizer, fmt::format("the draft's effective vocabulary has {} tokens, the target's {}",
                                                 m.effective_vocab, info_.effective_vocab));
  }
  if (m.template_hash != info_.template_hash) {
    return no(ErrorCode::kTemplate, "the draft's chat template differs from the target's");
  }
  if (!m.model_id.empty() && m.model_id != info_.model_id) {
    return no(ErrorCode::kModel, fmt::format("this server runs {}", info_.model_id));
  }
  for (TokenId id : m.prompt_ids) {
    if (static_cast<uint32_t>(id) >= info_.effective_vocab) {
      return no(ErrorCode::kProtocol, "prompt_ids holds a token outside the vocabulary");
    }
  }
  const int prompt = static_cast<int>(m.prompt_ids.size());
  if (prompt >= limits_.max_context) {
    return no(ErrorCode::kLimit, fmt::format("prompt of {} tokens, the context has {}", prompt, limits_.max_context));
  }
  if (m.generated >= m.max_new) return no(ErrorCode::kProtocol, "max_new leaves nothing to generate");
  int mine = 0;
  for (const auto& [id, session] : sessions_) mine += session->client == from.client && !session->closing;
  if (mine >= limits_.max_sessions_per_client || session_count() >= limits_.max_sessions) {
    return refuse(connection, ErrorCode::kLimit, true,
                  fmt::format("too many sessions ({} of this client, {} in all)", mine, session_count()));
  }

  auto session = std::make_unique<Session>();
  do {
    const std::string bytes = random_bytes_(sizeof session->id);
    std::copy_n(bytes.begin(), sizeof session->id, reinterpret_cast<char*>(&session->id));
  } while (session->id == 0 || sessions_.count(session->id));
  const Status taken = passes_.open(session->id, m);
  if (!taken.ok()) {
    return no(taken.code() == StatusCode::kResourceExhausted ? ErrorCode::kLimit : ErrorCode::kUnsupported,
              taken.message());
  }
  session->client = from.client;
  session->connection = connection;
  session->secret = random_bytes_(kSecretBytes);
  session->committed.append(m.prompt_ids);
  session->first_new = prompt - m.generated;
  session->max_length = std::min(session->first_new + m.max_new, limits_.max_context);
  session->hints = m.hints && !info_.exit_permille.empty();
  session->optimistic = m.optimistic;
  session->pad = m.pad;
  session->cap = limits_.max_draft;
  session->stream_until = std::min(m.stream_until, session->max_length);
  from.session = session.get();
  ++stats_.sessions;
  Session& s = *session;
  sessions_[s.id] = std::move(session);
  start_pass(s, {}, false);
}

void Server::handle(ConnectionId connection, Resume&& m) {
  Connection& from = connections_[connection];
  const auto found = sessions_.find(m.session);
  if (found == sessions_.end() || found->second->closing || !found->second->opened) {
    return refuse(connection, ErrorCode::kUnknownSession, true, "no such session: open it again");
  }
  Session& s = *found->second;
  const bool fresh = !s.pending_secret.empty() && m.secret == s.pending_secret;
  if (!fresh && m.secret != s.secret) {
    return refuse(connection, ErrorCode::kSecret, false, "wrong or used resume secret");
  }
  if (m.length > s.committed.length() || m.length < s.first_new || m.hash != s.committed.hash_at(m.length)) {
    return refuse(connection, ErrorCode::kProtocol, false, "resume from a sequence that this session never had");
  }
  if (from.session && from.session != &s) {
    return refuse(connection, ErrorCode::kProtocol, false, "this connection has another session");
  }
  if (fresh) s.secret = s.pending_secret;
  const bool copy = !fresh && m.epoch == s.epoch && s.connection == connection && !s.pending_secret.empty();
  if (!copy) s.pending_secret = random_bytes_(kSecretBytes);
  if (s.connection && s.connection != connection) {
    connections_[s.connection].session = nullptr;
    sink_.hang_up(s.connection);
  }
  s.connection = connection;
  from.session = &s;
  s.epoch = std::max(s.epoch, m.epoch);
  s.queued.reset();
  s.stream_until = 0;
  ++stats_.resumes;
  stats_.cold_resumes += s.evicted;
  Resumed reply;
  reply.length = s.committed.length();
  reply.hash = s.committed.hash();
  const auto tokens = s.committed.tokens().subspan(m.length);
  reply.replay.assign(tokens.begin(), tokens.end());
  reply.cold = s.evicted;
  reply.ended = s.ended;
  reply.secret = s.pending_secret;
  reply.epoch = s.epoch;
  reply.logits_hash = s.logits_hash;
  s.evicted = false;
  send(s, reply);
}

void Server::handle(Session& s, Draft&& m) {
  const auto no = [&](ErrorCode code, bool retriable, const char* text) {
    refuse(s.connection, code, retriable, text);
  };
  if (!s.opened) return no(ErrorCode::kProtocol, false, "a draft before the session was opened");
  if (m.q_mode != 0) return no(ErrorCode::kUnsupported, false, "q_mode 1 and 2 are not spoken on the wire");
  if (static_cast<int>(m.ids.size()) > limits_.max_draft) return no(ErrorCode::kLimit, false, "the draft is too long");
  for (TokenId id : m.ids) {
    if (static_cast<uint32_t>(id) >= info_.effective_vocab) {
      return no(ErrorCode::kProtocol, false, "the draft holds a token outside the vocabulary");
    }
  }
  if (m.epoch == s.epoch && !s.pending_secret.empty()) {
    s.secret = std::move(s.pending_secret);
    s.pending_secret.clear();
  }
  const int length = s.committed.length();
  const bool known = m.base_length <= length && m.base_hash == s.committed.hash_at(m.base_length);
  if (known && m.base_length == length && !s.ended) {
    if (s.pass) return;  // a copy of the draft that is being verified
    s.round = m.round;
    s.draft_epoch = m.epoch;
    s.wants_hints = !m.no_hints;
    return start_pass(s, std::move(m.ids), true);
  }
  if (m.after) {
    // It waits for the pass that it assumes the end of; a newer one takes its place.
    if (s.optimistic && m.base_length > length && m.after->round >= s.round) {
      stats_.optimistic_dropped += s.queued.has_value();
      s.queued = std::move(m);
    } else {
      ++stats_.optimistic_dropped;
    }
    return;
  }
  if (known) {
    ++stats_.stale_drafts;
    if (s.last_verdict) send(s, *s.last_verdict, s.last_verdict->round);
    return;
  }
  no(ErrorCode::kAhead, true, "a draft from a sequence that this session does not have: resume");
}

void Server::start_pass(Session& s, std::vector<TokenId> draft, bool is_verify) {
  draft.resize(std::min<size_t>({draft.size(), static_cast<size_t>(s.cap), static_cast<size_t>(s.room() - 1)}));
  s.pass = next_pass_++;
  s.pass_is_verify = is_verify;
  s.pass_draft = std::move(draft);
  s.hint.reset();
  s.evicted = false;
  running_[s.pass] = s.id;
  passes_.start({s.id, s.pass, s.committed.tokens(), s.pass_draft, s.first_new, is_verify && s.hints && s.wants_hints});
}

void Server::on_exit(uint64_t pass, int exit, Outcome outcome, float confidence) {
  const auto found = running_.find(pass);
  if (found == running_.end()) return;
  Session& s = *sessions_.at(found->second);
  const bool first = !s.hint;
  const bool speak = s.pad || (first ? exit > 0 || confidence >= limits_.hint_confidence : *s.hint != outcome);
  if (!speak) return;
  s.hint = outcome;
  ++stats_.hints;
  const int q8 = std::clamp(static_cast<int>(confidence * 255), 0, 255);
  send(s, Hint{s.round, exit, outcome, q8}, s.round, true);
}

void Server::adapt_cap(Session& s, int width, int accepted) {
  // A draft that is never accepted makes the server work for nothing: after 16 rounds below one token in ten the cap
  // is one token, and acceptance earns it back.
  if (width < 2) return;
  const double share = static_cast<double>(accepted) / (width - 1);
  s.cap_accepted += (share - s.cap_accepted) / 16;
  if (++s.cap_rounds < 16) return;
  s.cap = s.cap_accepted < 0.1 ? 1 : limits_.max_draft;
}

void Server::on_pass_done(uint64_t pass, PassResult result) {
  const auto found = running_.find(pass);
  if (found == running_.end()) return;
  Session& s = *sessions_.at(found->second);
  running_.erase(found);
  s.pass = 0;
  ++stats_.passes;
  stats_.width += result.width;
  if (s.closing) return drop(s.id);
  if (!result.status.ok()) {
    if (s.connection) refuse(s.connection, ErrorCode::kInternal, false, result.status.message());
    return drop(s.id);
  }
  const Outcome outcome = result.outcome;
  s.committed.append(std::span(s.pass_draft).first(outcome.accepted));
  s.committed.push(outcome.next);
  stats_.tokens += outcome.accepted + 1;
  s.ended = result.ended || s.room() <= 0;
  s.logits_hash = result.logits_hash;
  if (!s.opened) {
    if (!s.connection) return drop(s.id);  // nobody knows this session's name
    finish_open(s, result);
  } else if (s.pass_is_verify) {
    if (s.hint) stats_.hint_hits += *s.hint == outcome;
    adapt_cap(s, static_cast<int>(s.pass_draft.size()) + 1, outcome.accepted);
    s.last_verdict = Verdict{s.round,
                             s.draft_epoch,
                             outcome,
                             s.committed.length(),
                             s.committed.hash(),
                             s.ended,
                             result.queue_us,
                             result.verify_us,
                             std::move(result.exit_us),
                             result.width,
                             s.cap,
                             result.logits_hash};
    send(s, *s.last_verdict, s.round);
  } else {
    send(s, Token{s.committed.length(), outcome.next, s.ended, result.verify_us, result.logits_hash});
  }
  next_pass(s);
}

void Server::finish_open(Session& s, const PassResult& result) {
  s.opened = true;
  Opened reply;
  reply.session = s.id;
  reply.secret = s.secret;
  reply.first_token = result.outcome.next;
  reply.length = s.committed.length();
  reply.hash = s.committed.hash();
  reply.ended = s.ended;
  if (s.hints) reply.exit_permille = info_.exit_permille;
  reply.max_draft = limits_.max_draft;
  reply.context = limits_.max_context;
  reply.verify_us = result.queue_us + result.verify_us;
  reply.logits_hash = result.logits_hash;
  reply.table_us = info_.table_us;
  send(s, reply);
}

void Server::next_pass(Session& s) {
  if (s.pass || !s.opened || s.ended) return;
  if (s.queued && s.last_verdict) {
    Draft draft = std::move(*s.queued);
    s.queued.reset();
    const bool came_true = draft.after->round == s.last_verdict->round &&
                           draft.after->outcome == s.last_verdict->outcome &&
                           draft.base_length == s.committed.length() && draft.base_hash == s.committed.hash();
    if (came_true) {
      ++stats_.optimistic_used;
      s.round = draft.round;
      s.draft_epoch = draft.epoch;
      s.wants_hints = !draft.no_hints;
      return start_pass(s, std::move(draft.ids), true);
    }
    ++stats_.optimistic_dropped;
  }
  if (s.stream_until > s.committed.length()) start_pass(s, {}, false);
}

void Server::drop(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& s = *found->second;
  if (s.connection) {
    connections_[s.connection].session = nullptr;
    s.connection = 0;
  }
  if (s.pass) {
    s.closing = true;  // the pass cannot be stopped; its end frees the session
    return;
  }
  passes_.close(id);
  sessions_.erase(found);
}

TimeNs Server::next_timer() const {
  TimeNs next = kNever;
  for (const auto& [id, s] : sessions_) {
    if (s->connection || s->pass) continue;
    next = std::min(next, s->disconnected_at + (s->evicted ? limits_.cold_ttl : limits_.warm_ttl));
  }
  return next;
}

void Server::on_timer() {
  const TimeNs now = clock_.now();
  std::vector<SessionId> gone;
  for (const auto& [id, s] : sessions_) {
    if (s->connection || s->pass) continue;
    if (now - s->disconnected_at >= limits_.cold_ttl) {
      gone.push_back(id);
    } else if (!s->evicted && now - s->disconnected_at >= limits_.warm_ttl) {
      passes_.evict(id);
      s->evicted = true;
    }
  }
  for (SessionId id : gone) drop(id);
}

std::string Server::check_invariants() const {
  for (const auto& [id, s] : sessions_) {
    if (s->pass && (!running_.count(s->pass) || running_.at(s->pass) != id)) return "a running pass without its session";
    if (s->committed.length() > s->max_length) return "more tokens than max_new";
    if (!s->pass && s->opened) {
      const int cached = passes_.cache_length(id);
      if (cached != s->committed.length() - 1 && cached != 0) return "cache length is not |C| - 1 after a commit";
    }
    if (s->queued && !s->queued->after) return "a queued draft without an assumption";
    if (s->connection && connections_.at(s->connection).session != s.get()) return "connection and session disagree";
  }
  for (const auto& [pass, id] : running_) {
    if (!sessions_.count(id) || sessions_.at(id)->pass != pass) return "two passes of one session";
  }
  return "";
}

}  // namespace callie::edge_cloud
