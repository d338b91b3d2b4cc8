#include "serve/edge_cloud/client.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdlib>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "decode/edge_cloud/codec.h"
#include "serve/edge_cloud/stream.h"

namespace callie::serve {
namespace {

using edge_cloud::TimeNs;

struct Event {
  uint64_t attempt;
  bool ended;
  std::string text;  // a frame, or why the stream ended
  TimeNs arrived;
  grpc::StatusCode code = grpc::StatusCode::OK;
};

class Inbox {
 public:
  void push(Event event) {
    {
      std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    wake_.notify_one();
  }
  void take(std::vector<Event>& out) {
    std::lock_guard lock(mutex_);
    out.clear();
    out.swap(events_);
  }
  void entered() {
    std::lock_guard lock(mutex_);
    ++calls_;
  }
  void left() {
    // Notified under the lock: the waiter may go on to end the process.
    std::lock_guard lock(mutex_);
    --calls_;
    wake_.notify_one();
  }
  // False when calls still live after `most`.
  bool wait_for_calls(TimeNs most) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::nanoseconds(most), [this] { return calls_ == 0; });
  }
  void wait(TimeNs most) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::nanoseconds(most), [this] { return !events_.empty(); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Event> events_;
  int calls_ = 0;
};

// One attempt at a stream. It keeps itself alive until gRPC is done with it, and its inbox with it.
class Call : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static std::shared_ptr<Call> start(uint64_t attempt, std::shared_ptr<Inbox> inbox,
                                     const std::shared_ptr<grpc::Channel>& channel, const std::string& api_key) {
    auto call = std::make_shared<Call>(attempt, std::move(inbox));
    call->self_ = call;
    if (!api_key.empty()) call->context_.AddMetadata("authorization", "Bearer " + api_key);
    grpc::GenericStub stub(channel);
    stub.PrepareBidiStreamingCall(&call->context_, kSessionMethod, {}, call.get());
    call->AddHold();  // writes come from outside of callbacks
    call->StartRead(&call->incoming_);
    call->StartCall();
    return call;
  }
  Call(uint64_t attempt, std::shared_ptr<Inbox> inbox) : alive_(inbox), attempt_(attempt), inbox_(std::move(inbox)) {}

  void send(std::string frame) { act(outgoing_.push(std::move(frame), 0, false)); }
  /// What was sent before is still written.
  void close() { act(outgoing_.finish(false)); }

  void cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return act(outgoing_.finish(true));
    inbox_->push({attempt_, false, to_frame(incoming_), clock_.now()});
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override { act(outgoing_.written(ok)); }
  void OnDone(const grpc::Status& status) override {
    inbox_->push({attempt_, true, status.ok() ? "the server closed the connection" : status.error_message(), clock_.now(),
                  status.error_code()});
    const std::shared_ptr<Call> last = std::move(self_);  // this ends here
  }

 private:
  void act(OutgoingFrames::Next next) {
    if (next == OutgoingFrames::Next::kWrite) StartWrite(&outgoing_.current());
    if (next == OutgoingFrames::Next::kFinish) {
      StartWritesDone();
      RemoveHold();
    }
  }

  // Tells the inbox that a call lives; the first member, so that it goes last.
  struct Alive {
    explicit Alive(std::shared_ptr<Inbox> in) : inbox(std::move(in)) { inbox->entered(); }
    ~Alive() { inbox->left(); }
    const std::shared_ptr<Inbox> inbox;
  } alive_;
  const uint64_t attempt_;
  const std::shared_ptr<Inbox> inbox_;
  edge_cloud::SteadyClock clock_;
  grpc::ClientContext context_;
  std::shared_ptr<Call> self_;
  grpc::ByteBuffer incoming_;
  OutgoingFrames outgoing_;
};

// Errors that trying again does not mend.
bool is_final(const Event& event) {
  return event.code == grpc::StatusCode::UNAUTHENTICATED || event.code == grpc::StatusCode::UNIMPLEMENTED ||
         event.code == grpc::StatusCode::PERMISSION_DENIED ||
         event.text.find("CERTIFICATE_VERIFY_FAILED") != std::string::npos ||
         event.text.find("certificate verify failed") != std::string::npos;
}

}  // namespace

bool is_loopback_address(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || host == "::1" || host.starts_with("127.");
}

struct EdgeCloudConnection::Impl {
  std::string address, api_key;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::function<bool(std::span<const edge_cloud::TokenId>)> on_tokens;
  edge_cloud::SteadyClock clock;
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  std::shared_ptr<Call> call;
  // A channel outlives its call and ends on the user's thread: gRPC's own would have to wait for itself.
  struct Attempt {
    std::shared_ptr<grpc::Channel> channel;
    std::weak_ptr<Call> call;
  };
  std::vector<Attempt> attempts;
  edge_cloud::Client* machine = nullptr;
  uint64_t attempt = 0;
  bool connecting = false;
};

EdgeCloudConnection::EdgeCloudConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EdgeCloudConnection::~EdgeCloudConnection() {
  // The last frame (Stop) is given the time of a round trip to leave.
  close();
  if (impl_->inbox->wait_for_calls(edge_cloud::kSecond / 2)) return;
  for (const Impl::Attempt& each : impl_->attempts) {
    if (const auto call = each.call.lock()) call->cancel();
  }
  impl_->inbox->wait_for_calls(edge_cloud::kSecond);
}

StatusOr<std::unique_ptr<EdgeCloudConnection>> EdgeCloudConnection::create(
    const EdgeCloudClientOptions& options, std::function<bool(std::span<const edge_cloud::TokenId>)> on_tokens) {
  setenv("GRPC_VERBOSITY", "NONE", 0);  // errors are told once, by us
  auto impl = std::make_unique<Impl>();
  impl->address = options.address;
  impl->api_key = options.api_key;
  impl->on_tokens = std::move(on_tokens);
  if (options.tls) {
    grpc::SslCredentialsOptions ssl;
    if (!options.tls_ca.empty()) {
      CALLIE_ASSIGN_OR_RETURN(ssl.pem_root_certs, read_text_file(options.tls_ca));
    }
    if (!options.tls_cert.empty()) {
      CALLIE_ASSIGN_OR_RETURN(ssl.pem_cert_chain, read_text_file(options.tls_cert));
      CALLIE_ASSIGN_OR_RETURN(ssl.pem_private_key, read_text_file(options.tls_key));
    }
    impl->credentials = grpc::SslCredentials(ssl);
  } else if (is_loopback_address(options.address)) {
    impl->credentials = grpc::InsecureChannelCredentials();
  } else {
    return error(StatusCode::kUsage, "--cloud {}: plain text is for this machine only; give --tls-ca", options.address);
  }
  return std::unique_ptr<EdgeCloudConnection>(new EdgeCloudConnection(std::move(impl)));
}

const edge_cloud::Clock& EdgeCloudConnection::clock() const { return impl_->clock; }

void EdgeCloudConnection::connect() {
  close();
  // A channel of its own for every attempt: gRPC's waiting times between attempts do not add to the client's.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(edge_cloud::kMaxResumedBytes));
  const auto channel = grpc::CreateCustomChannel(impl_->address, impl_->credentials, arguments);
  impl_->call = Call::start(++impl_->attempt, impl_->inbox, channel, impl_->api_key);
  std::erase_if(impl_->attempts, [](const Impl::Attempt& old) { return old.call.expired(); });
  impl_->attempts.push_back({channel, impl_->call});
  // The first frame travels with the stream's beginning; a failure is told by its end.
  impl_->connecting = true;
}

void EdgeCloudConnection::send(std::string frame) {
  if (impl_->call) impl_->call->send(std::move(frame));
}

void EdgeCloudConnection::close() {
  ++impl_->attempt;
  if (const auto call = std::move(impl_->call)) call->close();
}

void EdgeCloudConnection::emit(std::span<const edge_cloud::TokenId> tokens) {
  if (!impl_->on_tokens(tokens)) impl_->machine->stop();
}

Status EdgeCloudConnection::run(edge_cloud::Client& client) {
  Impl& impl = *impl_;
  impl.machine = &client;
  client.start();
  std::vector<Event> events;
  while (!client.finished()) {
    if (interrupted()) client.stop();
    if (std::exchange(impl.connecting, false)) client.on_connected();
    impl.inbox->take(events);
    for (const Event& event : events) {
      if (event.attempt != impl.attempt || client.finished()) continue;
      if (!event.ended) {
        client.on_frame(event.text, event.arrived);
        continue;
      }
      if (is_final(event)) {
        close();
        const bool key = event.code == grpc::StatusCode::UNAUTHENTICATED;
        return error(key ? StatusCode::kFailedPrecondition : StatusCode::kUnavailable, "--cloud {}: {}", impl.address,
                     event.text);
      }
      impl.call.reset();
      client.on_disconnected(event.text);
    }
    if (client.finished()) break;
    if (client.next_timer() <= impl.clock.now()) client.on_timer();
    if (client.finished() || impl.connecting || client.work()) continue;
    const TimeNs left = client.next_timer() - impl.clock.now();
    impl.inbox->wait(std::clamp<TimeNs>(left, 0, 100 * edge_cloud::kMillisecond));
  }
  const Status& status = client.status();
  return status.code() == StatusCode::kUnavailable ? status.with_context("--cloud " + impl.address) : status;
}

}  // namespace callie::serve
