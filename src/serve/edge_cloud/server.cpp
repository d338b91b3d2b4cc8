#include "serve/edge_cloud/server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <openssl/rand.h>

#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

#include "chat/template.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "decode/edge_cloud/codec.h"
#include "decode/edge_cloud/model_target.h"
#include "decode/edge_cloud/pass_table.h"
#include "serve/edge_cloud/stream.h"

namespace callie::serve {
namespace {

using edge_cloud::ConnectionId;
using edge_cloud::SessionId;
using edge_cloud::TimeNs;

// Frames of one connection that wait for the engine, and that wait to be read by the peer; who sends more is cut off.
constexpr size_t kMaxWaitingFrames = 256;

struct Event {
  enum class Kind { kConnect, kFrame, kDisconnect };
  Kind kind;
  ConnectionId connection;
  std::string text;  // the client's name, or a frame
  TimeNs arrived;
};

// Between gRPC's threads and the engine's.
class Inbox {
 public:
  void push(Event event) {
    {
      std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    wake_.notify_one();
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
  }
  // Takes what is there; waits for something until `timer` unless `poll`. False at the end.
  bool take(std::vector<Event>& out, bool poll, TimeNs timer, TimeNs now) {
    out.clear();
    std::unique_lock lock(mutex_);
    const auto ready = [this] { return stopping_ || !events_.empty(); };
    if (!poll) {
      const TimeNs wait = std::clamp<TimeNs>(timer - now, 0, edge_cloud::kSecond);
      wake_.wait_for(lock, std::chrono::nanoseconds(wait), ready);
    }
    out.swap(events_);
    return !stopping_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Event> events_;
  bool stopping_ = false;
};

// One connection. It keeps itself alive until gRPC is done with it.
class Call : public grpc::ServerGenericBidiReactor, public std::enable_shared_from_this<Call> {
 public:
  Call(ConnectionId id, Inbox& inbox, const edge_cloud::Clock& clock, std::function<void(ConnectionId)> forget)
      : id_(id), inbox_(inbox), clock_(clock), forget_(std::move(forget)) {}

  void begin(const std::string& client) {
    self_ = shared_from_this();
    inbox_.push({Event::Kind::kConnect, id_, client, clock_.now()});
    StartSendInitialMetadata();
    StartRead(&incoming_);
  }
  void refuse(grpc::StatusCode code, const std::string& message) {
    self_ = shared_from_this();
    connected_ = false;
    end_ = grpc::Status(code, message);
    act(outgoing_.finish(true));
  }
  void send(std::string frame, uint32_t round, bool is_hint) {
    act(outgoing_.push(std::move(frame), round, is_hint));
  }
  void hang_up() { act(outgoing_.finish(false)); }
  void handled() { --waiting_; }

  void OnReadDone(bool ok) override {
    if (!ok) {
      leave();
      return act(outgoing_.finish(false));
    }
    std::string frame = to_frame(incoming_);
    if (auto reply = edge_cloud::reply_to_ping(frame)) {
      if (outgoing_.waiting() < kMaxWaitingFrames) send(std::move(*reply), 0, false);
    } else if (++waiting_ > kMaxWaitingFrames || outgoing_.waiting() > kMaxWaitingFrames) {
      leave();
      end_ = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many frames at once");
      return act(outgoing_.finish(true));
    } else {
      inbox_.push({Event::Kind::kFrame, id_, std::move(frame), clock_.now()});
    }
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override { act(outgoing_.written(ok)); }
  void OnCancel() override {
    leave();
    act(outgoing_.finish(true));
  }
  void OnDone() override {
    leave();
    forget_(id_);
    const std::shared_ptr<Call> last = std::move(self_);  // this ends here
  }

 private:
  void act(OutgoingFrames::Next next) {
    if (next == OutgoingFrames::Next::kWrite) StartWrite(&outgoing_.current());
    if (next == OutgoingFrames::Next::kFinish) Finish(end_);
  }
  void leave() {
    if (connected_.exchange(false)) inbox_.push({Event::Kind::kDisconnect, id_, "", clock_.now()});
  }

  const ConnectionId id_;
  Inbox& inbox_;
  const edge_cloud::Clock& clock_;
  const std::function<void(ConnectionId)> forget_;
  std::shared_ptr<Call> self_;
  grpc::ByteBuffer incoming_;
  OutgoingFrames outgoing_;
  grpc::Status end_;
  std::atomic<bool> connected_{true};
  std::atomic<size_t> waiting_{0};
};

// "ipv4:10.0.0.7:41234" without the port: whom the limits count.
std::string host_of(const std::string& peer) {
  const size_t colon = peer.rfind(':');
  return colon == std::string::npos || peer.find(':') == colon ? peer : peer.substr(0, colon);
}

StatusOr<std::shared_ptr<grpc::ServerCredentials>> credentials(const EdgeCloudServerOptions& options) {
  if (options.tls_cert.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions ssl(options.client_ca.empty()
                                            ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                            : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  CALLIE_ASSIGN_OR_RETURN(std::string key, read_text_file(options.tls_key));
  CALLIE_ASSIGN_OR_RETURN(std::string certificate, read_text_file(options.tls_cert));
  ssl.pem_key_cert_pairs.push_back({std::move(key), std::move(certificate)});
  if (!options.client_ca.empty()) {
    CALLIE_ASSIGN_OR_RETURN(ssl.pem_root_certs, read_text_file(options.client_ca));
  }
  return grpc::SslServerCredentials(ssl);
}

std::string random_bytes(size_t n) {
  std::string bytes(n, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(n)) != 1) std::abort();
  return bytes;
}

}  // namespace

uint64_t template_hash(const Tokenizer& tokenizer) {
  const auto chat = ChatTemplate::from_tokenizer(tokenizer);
  if (!chat.ok()) return 0;
  const Json user = {{"role", "user"}, {"content", "question\n"}};
  const Json system = {{"role", "system"}, {"content", " rules"}};
  const Json assistant = {{"role", "assistant"}, {"content", "answer"}};
  std::string rendered;
  for (const Json& messages : {Json::array({user}), Json::array({system, user}), Json::array({user, assistant, user})}) {
    for (const bool prompt : {true, false}) {
      const auto text = chat->render({.messages = &messages, .add_generation_prompt = prompt, .now_unix_s = 0});
      rendered += text.ok() ? *text : "refused";
      rendered += '\0';
    }
  }
  return xxh64({reinterpret_cast<const uint8_t*>(rendered.data()), rendered.size()});
}

struct EdgeCloudServer::Impl : grpc::CallbackGenericService, edge_cloud::ServerSink, edge_cloud::TargetPasses {
  edge_cloud::SteadyClock clock;
  Inbox inbox;
  ApiKeys keys;
  std::unique_ptr<edge_cloud::ModelTarget> target;
  std::unique_ptr<edge_cloud::Server> machine;  // the engine's thread only
  std::unique_ptr<grpc::Server> grpc_server;
  int port = 0;
  std::thread engine;
  TimeNs frame_arrived = 0;  // of the frame being handled; 0 = none

  std::mutex calls_mutex;
  std::map<ConnectionId, std::shared_ptr<Call>> calls;  // guarded by calls_mutex
  ConnectionId next_connection = 1;                     // guarded by calls_mutex

  mutable std::mutex stats_mutex;
  edge_cloud::ServerStats stats;  // guarded by stats_mutex, like the next ones
  int open_sessions = 0;
  double busy_s = 0;

  ~Impl() override { stop(); }

  void stop() {
    if (grpc_server) grpc_server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    inbox.stop();
    if (engine.joinable()) engine.join();
    if (grpc_server) grpc_server->Wait();
    grpc_server.reset();
  }

  // --- gRPC's threads ---

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    std::shared_ptr<Call> call;
    {
      std::lock_guard lock(calls_mutex);
      const ConnectionId id = next_connection++;
      call = std::make_shared<Call>(id, inbox, clock, [this](ConnectionId gone) {
        std::lock_guard guard(calls_mutex);
        calls.erase(gone);
      });
      calls[id] = call;
    }
    const auto& metadata = context->client_metadata();
    const auto found = metadata.find("authorization");
    const std::string shown = found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
    if (context->method() != kSessionMethod) {
      call->refuse(grpc::StatusCode::UNIMPLEMENTED, "no such method: " + context->method());
    } else if (!keys.allow(shown)) {
      call->refuse(grpc::StatusCode::UNAUTHENTICATED, "the server asks for a key (--api-key-file)");
    } else {
      call->begin(keys.empty() ? host_of(context->peer()) : shown);
    }
    return call.get();
  }

  std::shared_ptr<Call> call_of(ConnectionId connection) {
    std::lock_guard lock(calls_mutex);
    const auto found = calls.find(connection);
    return found == calls.end() ? nullptr : found->second;
  }

  // --- the engine's thread ---

  void send(ConnectionId connection, std::string frame, uint32_t round, bool is_hint) override {
    if (const auto call = call_of(connection)) call->send(std::move(frame), round, is_hint);
  }
  void hang_up(ConnectionId connection) override {
    if (const auto call = call_of(connection)) call->hang_up();
  }
  Status open(SessionId session, const edge_cloud::Open& request) override { return target->open(session, request); }
  void start(const edge_cloud::PassRequest& r) override {
    edge_cloud::PassJob job{r.session,  r.pass,  {r.committed.begin(), r.committed.end()}, {r.draft.begin(), r.draft.end()},
                            r.first_new, r.exits, frame_arrived ? frame_arrived : clock.now(), {}};
    target->begin(std::move(job));
  }
  void evict(SessionId session) override { target->evict(session); }
  void close(SessionId session) override { target->close(session); }
  int cache_length(SessionId session) const override { return target->cache_length(session); }

  void handle(const std::vector<Event>& events) {
    for (const Event& event : events) {
      switch (event.kind) {
        case Event::Kind::kConnect:
          machine->on_connect(event.connection, event.text);
          break;
        case Event::Kind::kDisconnect:
          machine->on_disconnect(event.connection);
          break;
        case Event::Kind::kFrame:
          frame_arrived = event.arrived;
          machine->on_frame(event.connection, event.text);
          frame_arrived = 0;
          if (const auto call = call_of(event.connection)) call->handled();
          break;
      }
    }
  }

  void run() {
    std::vector<Event> events;
    std::vector<edge_cloud::PassJob> done;
    while (inbox.take(events, !target->idle(), machine->next_timer(), clock.now())) {
      handle(events);
      if (machine->next_timer() <= clock.now()) machine->on_timer();
      if (!target->idle()) {
        done.clear();
        target->step([this](const edge_cloud::ExitReport& e) { machine->on_exit(e.pass, e.exit, e.outcome, e.confidence); },
                     [&](edge_cloud::PassJob job) { done.push_back(std::move(job)); });
        // Frames that came during the step first: a block uploaded before its verdict is there when the verdict is.
        const bool going = inbox.take(events, true, 0, 0);
        handle(events);
        for (edge_cloud::PassJob& job : done) machine->on_pass_done(job.pass, std::move(job.result));
        if (!going) break;
      }
      std::lock_guard lock(stats_mutex);
      stats = machine->stats();
      open_sessions = machine->session_count();
      busy_s = static_cast<double>(target->busy()) * 1e-9;
    }
  }
};

EdgeCloudServer::EdgeCloudServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EdgeCloudServer::~EdgeCloudServer() = default;

StatusOr<std::unique_ptr<EdgeCloudServer>> EdgeCloudServer::start(std::shared_ptr<const Model> model,
                                                                  const EdgeCloudServerOptions& options, ApiKeys keys,
                                                                  ThreadPool& pool) {
  setenv("GRPC_VERBOSITY", "NONE", 0);  // errors are told once, by us
  auto impl = std::make_unique<Impl>();
  impl->keys = std::move(keys);
  CALLIE_ASSIGN_OR_RETURN(impl->target, edge_cloud::ModelTarget::create(model, options.executor, pool, impl->clock, options.exits));
  edge_cloud::ServerInfo info;
  info.model_id = options.model_id;
  info.tokenizer_hash = model->tokenizer().hash();
  info.template_hash = template_hash(model->tokenizer());
  info.effective_vocab = static_cast<uint32_t>(model->tokenizer().vocab_size());
  if (options.exits) info.exit_permille = options.exits->permille();
  edge_cloud::ServerLimits limits = options.limits;
  limits.max_context = static_cast<int>(impl->target->executor().options().context);
  if (options.measure_passes) {
    CALLIE_ASSIGN_OR_RETURN(info.table_us, edge_cloud::measure_passes(model, limits.max_draft + 1, pool));
  }
  impl->machine = std::make_unique<edge_cloud::Server>(std::move(info), limits, *impl, *impl, impl->clock,
                                                       random_bytes);

  CALLIE_ASSIGN_OR_RETURN(const auto secured, credentials(options));
  grpc::ServerBuilder builder;
  const std::string address = fmt::format("{}:{}", options.host, options.port);
  builder.AddListeningPort(address, secured, &impl->port);
  builder.RegisterCallbackGenericService(impl.get());
  builder.SetMaxReceiveMessageSize(static_cast<int>(edge_cloud::kMaxOpenBytes));
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  impl->grpc_server = builder.BuildAndStart();
  if (!impl->grpc_server || impl->port == 0) {
    return error(StatusCode::kUnavailable, "--listen {}: cannot listen there, or the certificate and key do not fit",
                 address);
  }
  impl->engine = std::thread([server = impl.get()] { server->run(); });
  return std::unique_ptr<EdgeCloudServer>(new EdgeCloudServer(std::move(impl)));
}

int EdgeCloudServer::port() const { return impl_->port; }
void EdgeCloudServer::stop() { impl_->stop(); }

std::string EdgeCloudServer::metrics() const {
  edge_cloud::ServerStats s;
  int sessions = 0;
  double busy = 0;
  {
    std::lock_guard lock(impl_->stats_mutex);
    s = impl_->stats;
    sessions = impl_->open_sessions;
    busy = impl_->busy_s;
  }
  std::string out;
  const auto add = [&](const char* name, const char* type, const char* help, double value) {
    out += fmt::format("# HELP callie_cloud_{0} {2}\n# TYPE callie_cloud_{0} {1}\ncallie_cloud_{0} {3}\n", name, type, help,
                       value);
  };
  add("sessions", "gauge", "sessions that are open", sessions);
  add("sessions_total", "counter", "sessions opened", static_cast<double>(s.sessions));
  add("passes_total", "counter", "passes of the model, one a session and step", static_cast<double>(s.passes));
  add("tokens_total", "counter", "tokens emitted", static_cast<double>(s.tokens));
  add("width_total", "counter", "positions verified", static_cast<double>(s.width));
  add("busy_seconds_total", "counter", "time in passes", busy);
  add("hints_total", "counter", "hints sent", static_cast<double>(s.hints));
  add("hint_hits_total", "counter", "hints that became the verdict", static_cast<double>(s.hint_hits));
  add("stale_drafts_total", "counter", "drafts answered by the last verdict", static_cast<double>(s.stale_drafts));
  add("optimistic_used_total", "counter", "blocks uploaded before their verdict that came true",
      static_cast<double>(s.optimistic_used));
  add("optimistic_dropped_total", "counter", "and that did not", static_cast<double>(s.optimistic_dropped));
  add("resumes_total", "counter", "sessions resumed", static_cast<double>(s.resumes));
  add("cold_resumes_total", "counter", "of them with the cache rebuilt", static_cast<double>(s.cold_resumes));
  add("refused_total", "counter", "frames answered by an error", static_cast<double>(s.refused));
  return out;
}

}  // namespace callie::serve
