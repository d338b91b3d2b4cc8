// Edge-cloud speculation over gRPC on this machine: equal to plain decoding through every mode, through a server that is
// lost and comes back, with keys and TLS; wrong handshakes end with one clear error.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "decode/edge_cloud/model_draft.h"
#include "decode/edge_cloud/model_target.h"
#include "decode/generate.h"
#include "engine/model_fixture.h"
#include "serve/edge_cloud/client.h"
#include "serve/edge_cloud/delay_proxy.h"
#include "serve/edge_cloud/server.h"

namespace callie::serve {
namespace {

using edge_cloud::Mode;
using edge_cloud::TokenId;

class Cloud {
 public:
  explicit Cloud(const std::string& model = "llama") : pool_(1), client_pool_(1) {
    target_ = test::load_or_fail(test::golden_path("tiny/" + model), pool_);
    draft_ = test::load_or_fail(test::golden_path("tiny/qwen2"), client_pool_);
    options.port = 0;
    options.model_id = model;
    options.measure_passes = false;
    options.executor.context = 256;
    options.executor.sched.token_budget = 64;
    options.executor.sched.max_seqs = 8;
    request.tokenizer_hash = target_->tokenizer().hash();
    request.template_hash = template_hash(target_->tokenizer());
    request.effective_vocab = static_cast<uint32_t>(target_->tokenizer().vocab_size());
    request.prompt_ids = {72, 101, 108, 108, 111, 32, 72, 101, 108};
    request.max_new = 80;
    request.ignore_end = true;
    sampling.temperature = 0.8f;
    sampling.repeat_penalty = 1.1f;
    client_options.retry_for = 20 * edge_cloud::kSecond;
  }

  void start(ApiKeys keys = {}) {
    auto server = EdgeCloudServer::start(target_, options, std::move(keys), pool_);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(*server);
    options.port = server_->port();
    connection.address = fmt::format("127.0.0.1:{}", server_->port());
  }
  void stop() { server_.reset(); }

  std::vector<TokenId> plain() {
    SessionOptions session_options;
    session_options.context = 256;
    const auto session = test::session_or_fail(target_, pool_, session_options);
    Sampler sampler(sampling);
    decode::LogitsHash hash;
    decode::PlainStrategy strategy(*session, sampler, &hash);
    decode::GenerateOptions generate_options;
    generate_options.max_new = request.max_new;
    generate_options.ignore_eos = true;
    const auto result = decode::generate(*session, strategy, request.prompt_ids, generate_options);
    EXPECT_TRUE(result.ok());
    plain_hash = hash.digest();
    return result->token_ids;
  }

  // `on_token(n)` hears of the n-th token.
  Status run(const std::function<void(int)>& on_token = {}) {
    tokens.clear();
    auto made = EdgeCloudConnection::create(connection, [&](std::span<const TokenId> fresh) {
      for (const TokenId token : fresh) {
        tokens.push_back(token);
        if (on_token) on_token(static_cast<int>(tokens.size()));
      }
      return true;
    });
    CALLIE_RETURN_IF_ERROR(made.status());
    edge_cloud::Open open = request;
    open.sampling = edge_cloud::to_wire(sampling);
    SessionOptions session_options;
    session_options.context = 256;
    edge_cloud::ModelDraft draft(draft_, test::session_or_fail(draft_, client_pool_, session_options), Sampler(sampling),
                                 static_cast<int>(open.prompt_ids.size()), 0);
    edge_cloud::Client client(open, client_options, draft, **made, (*made)->clock(), [](TokenId) { return false; });
    const Status status = (*made)->run(client);
    hash = client.logits_hash();
    stats = client.stats();
    round_trip_s = client.controller().round_trip();
    return status;
  }

  EdgeCloudServer& server() { return *server_; }

  EdgeCloudServerOptions options;
  EdgeCloudClientOptions connection;
  edge_cloud::ClientOptions client_options;
  edge_cloud::Open request;
  SamplingOptions sampling;
  std::vector<TokenId> tokens;
  uint64_t hash = 0, plain_hash = 0;
  edge_cloud::ClientStats stats;
  double round_trip_s = 0;  // as the client has measured it

 private:
  ThreadPool pool_, client_pool_;
  std::shared_ptr<const Model> target_, draft_;
  std::unique_ptr<EdgeCloudServer> server_;
};

TEST(EdgeCloudGrpc, EveryModeEqualsPlain) {
  Cloud cloud;
  cloud.start();
  const auto expected = cloud.plain();
  for (const Mode mode : edge_cloud::kAllModes) {
    cloud.client_options.mode = mode;
    for (const bool pad : {false, true}) {
      cloud.request.pad = pad;
      const Status status = cloud.run();
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(cloud.tokens, expected) << mode_name(mode);
      EXPECT_EQ(cloud.hash, cloud.plain_hash) << mode_name(mode);
    }
  }
  EXPECT_NE(cloud.server().metrics().find("callie_cloud_sessions_total 16"), std::string::npos)
      << cloud.server().metrics();
}

TEST(EdgeCloudGrpc, AServerThatForgotEverythingContinuesTheText) {
  Cloud cloud;
  cloud.start();
  const auto expected = cloud.plain();
  for (const Mode mode : {Mode::kStreaming, Mode::kOptimistic}) {
    cloud.client_options.mode = mode;
    const Status status = cloud.run([&](int n) {
      if (n != 11 && n != 47) return;
      cloud.stop();
      cloud.start();
    });
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(cloud.tokens, expected) << mode_name(mode);
    EXPECT_EQ(cloud.hash, cloud.plain_hash) << mode_name(mode);
    // All of a stream may have arrived before the server went.
    EXPECT_TRUE(mode == Mode::kStreaming || cloud.stats.reopened == 2) << cloud.stats.reopened;
  }
}

TEST(EdgeCloudGrpc, ADelayProxyIsMeasuredAndChangesNothing) {
  Cloud cloud;
  cloud.start();
  cloud.request.max_new = 20;
  const auto expected = cloud.plain();
  const auto proxy = DelayProxy::start(cloud.options.port);
  ASSERT_TRUE(proxy.ok()) << proxy.status().message();
  cloud.connection.address = fmt::format("127.0.0.1:{}", (*proxy)->port());
  constexpr double kOneWay = 0.03;
  (*proxy)->set_one_way(kOneWay);
  for (const Mode mode : {Mode::kStreaming, Mode::kSync, Mode::kAdaptive}) {
    cloud.client_options.mode = mode;
    const int64_t before = (*proxy)->bytes();
    const Status status = cloud.run();
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(cloud.tokens, expected) << mode_name(mode);
    EXPECT_GT((*proxy)->bytes(), before + 200) << mode_name(mode);
    if (mode == Mode::kSync) EXPECT_GE(cloud.round_trip_s, 2 * kOneWay);  // the others are over before they know
  }
  // Nobody behind it: the client is told so.
  cloud.stop();
  cloud.client_options.retry_for = 0;
  EXPECT_EQ(cloud.run().code(), StatusCode::kUnavailable);
}

TEST(EdgeCloudGrpc, ClientsTogetherEqualThemselvesAlone) {
  constexpr int kClients = 6;
  Cloud cloud;
  cloud.start();
  std::vector<std::unique_ptr<Cloud>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Cloud>());
    clients.back()->connection = cloud.connection;
    clients.back()->sampling.seed = i;
    clients.back()->client_options.mode = edge_cloud::kAllModes[i];
  }
  std::vector<std::thread> threads;
  std::vector<Status> statuses(kClients);
  for (int i = 0; i < kClients; ++i) threads.emplace_back([&, i] { statuses[i] = clients[i]->run(); });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kClients; ++i) {
    EXPECT_TRUE(statuses[i].ok()) << statuses[i].message();
    EXPECT_EQ(clients[i]->tokens, clients[i]->plain()) << i;
  }
}

TEST(EdgeCloudGrpc, WrongHandshakesEndAtOnce) {
  Cloud cloud;
  cloud.start();
  const edge_cloud::Open right = cloud.request;
  cloud.request.tokenizer_hash ^= 1;
  Status status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("tokenizer"), std::string::npos) << status.message();
  cloud.request = right;
  cloud.request.template_hash ^= 1;
  status = cloud.run();
  EXPECT_NE(status.message().find("chat template"), std::string::npos) << status.message();
  cloud.request = right;
  cloud.request.version_major = 99;
  status = cloud.run();
  EXPECT_NE(status.message().find("protocol version"), std::string::npos) << status.message();
  cloud.request = right;
  cloud.request.prompt_ids.assign(300, 65);
  status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
}

TEST(EdgeCloudGrpc, KeysAndAddressesAreChecked) {
  Cloud cloud;
  ApiKeys keys;
  keys.add("right");
  cloud.start(std::move(keys));
  cloud.connection.api_key = "wrong";
  Status status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.message();
  cloud.connection.api_key = "right";
  status = cloud.run();
  EXPECT_TRUE(status.ok()) << status.message();

  cloud.connection.address = "192.0.2.1:50051";
  status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kUsage) << status.message();
  cloud.stop();
  cloud.connection.address = fmt::format("127.0.0.1:{}", cloud.options.port);
  cloud.client_options.retry_for = edge_cloud::kSecond / 2;
  status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status.message();
}

TEST(EdgeCloudGrpc, TooManySessionsOfOneClientWait) {
  Cloud cloud;
  cloud.options.limits.max_sessions_per_client = 0;
  cloud.start();
  cloud.client_options.retry_for = edge_cloud::kSecond / 4;
  const Status status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("too many sessions"), std::string::npos) << status.message();
}

// The value of a metric without labels.
double metric(const std::string& text, const std::string& name) {
  const size_t at = text.find("\ncallie_cloud_" + name + " ");
  EXPECT_NE(at, std::string::npos) << name;
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + 15 + name.size());
}

TEST(EdgeCloudGrpc, MetricsCountWhatClientsSaw) {
  Cloud cloud;
  cloud.start();
  cloud.client_options.mode = Mode::kOptimistic;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(cloud.run().ok());
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::string text;
  for (int i = 0; i < 500; ++i) {  // the session ends a little after its last verdict
    text = cloud.server().metrics();
    if (metric(text, "sessions") == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(metric(text, "sessions"), 0);
  EXPECT_EQ(metric(text, "sessions_total"), 1);
  EXPECT_EQ(metric(text, "tokens_total"), static_cast<double>(cloud.tokens.size()));
  EXPECT_GE(metric(text, "passes_total"), static_cast<double>(cloud.stats.rounds + 1));
  EXPECT_EQ(metric(text, "optimistic_used_total"), static_cast<double>(cloud.stats.optimistic_hits));
  EXPECT_GT(metric(text, "busy_seconds_total"), 0);
  EXPECT_LE(metric(text, "busy_seconds_total"), wall);
  EXPECT_EQ(metric(text, "hints_total"), 0);
  EXPECT_EQ(metric(text, "refused_total"), 0);
}

TEST(EdgeCloudGrpc, LimitsOfContextAndDraftsHold) {
  Cloud cloud;
  cloud.options.limits.max_draft = 2;
  cloud.options.executor.sched.max_draft = 2;
  cloud.start();
  const std::vector<TokenId> expected = cloud.plain();
  cloud.client_options.mode = Mode::kSync;
  cloud.client_options.draft_len = 8;
  ASSERT_TRUE(cloud.run().ok());
  EXPECT_EQ(cloud.tokens, expected);
  EXPECT_LE(cloud.stats.drafted, 2 * cloud.stats.rounds);

  cloud.request.prompt_ids.assign(400, 72);  // the context has 256
  const Status status = cloud.run();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
}

}  // namespace
}  // namespace callie::serve
