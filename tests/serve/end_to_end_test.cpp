// The whole server on a real model: SmolLM2-135M from CALLIE_MODELS.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "serve/api/api.h"
#include "serve/client.h"
#include "serve/model_backend.h"
#include "serve/response_store.h"

namespace callie::serve {
namespace {

std::string model_path() {
  const char* folder = std::getenv("CALLIE_MODELS");
  const std::string path = folder ? std::string(folder) + "/smollm2-135m.gguf" : "";
  return std::filesystem::exists(path) ? path : "";
}

/// A server with its own pool of KV blocks.
class Server {
 public:
  explicit Server(ModelBackendOptions options = {}) : pool_(2), context_{&pool_} {
    if (options.executor.context == 4096) options.executor.context = 2048;
    std::vector<ModelHub::Entry> entries(1);
    entries[0].id = "smollm2-135m";
    entries[0].load = [this, options]() -> StatusOr<std::shared_ptr<Backend>> {
      CALLIE_ASSIGN_OR_RETURN(const auto model, Model::load(model_path(), {}, context_));
      return make_model_backend("smollm2-135m", model, options, pool_);
    };
    hub_ = std::make_unique<ModelHub>(std::move(entries), HubOptions());
    store_ = std::move(*ResponseStore::open(":memory:"));
    api_ = std::make_unique<Api>(ApiOptions(), ApiKeys(), hub_.get(), &metrics_, store_.get(), [] { return HttpStats(); });
    http_ = std::move(*HttpServer::start({.port = 0}, [this](auto exchange) { api_->handle(std::move(exchange)); }));
  }
  ~Server() { http_->stop(); }
  Reply post(const std::string& path, const Json& body) { return request(http_->port(), "POST", path, body.dump()); }
  int port() const { return http_->port(); }
  BackendStats stats() const { return hub_->list()[0].backend->stats(); }

 private:
  ThreadPool pool_;
  Context context_;
  Metrics metrics_;
  std::unique_ptr<ModelHub> hub_;
  std::unique_ptr<ResponseStore> store_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<HttpServer> http_;
};

#define NEED_MODEL() \
  if (model_path().empty()) GTEST_SKIP() << "CALLIE_MODELS holds no smollm2-135m.gguf"

Json chat(const std::string& text, int max_tokens = 24) {
  return {{"messages", {{{"role", "user"}, {"content", text}}}}, {"max_tokens", max_tokens}, {"temperature", 0}};
}

TEST(EndToEnd, ChatStreamedAndWholeAreTheSame) {
  NEED_MODEL();
  Server server;
  Json body = chat("What is the capital of France?");
  const Reply whole = server.post("/v1/chat/completions", body);
  ASSERT_EQ(whole.status, 200) << whole.body;
  const std::string text = Json::parse(whole.body)["choices"][0]["message"]["content"];
  EXPECT_FALSE(text.empty());
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const Reply streamed = server.post("/v1/chat/completions", body);
  std::string joined;
  int64_t tokens = 0;
  for (size_t at = streamed.body.find("data: {"); at != std::string::npos; at = streamed.body.find("data: {", at + 1)) {
    const Json event = Json::parse(streamed.body.substr(at + 6, streamed.body.find("\n\n", at) - at - 6));
    if (!event["choices"].empty()) joined += event["choices"][0]["delta"].value("content", "");
    if (event.contains("usage") && event["usage"].is_object()) tokens = event["usage"]["completion_tokens"];
  }
  EXPECT_EQ(joined, text);
  EXPECT_GT(tokens, 0);
  EXPECT_NE(streamed.body.find("data: [DONE]"), std::string::npos);
}

TEST(EndToEnd, ErrorsNameTheirField) {
  NEED_MODEL();
  Server server;
  Json body = chat("Hi");
  body["model"] = "unknown";
  Reply reply = server.post("/v1/chat/completions", body);
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(Json::parse(reply.body)["error"]["code"], "model_not_found");
  body = chat("Hi");
  body["mystery"] = 1;
  reply = server.post("/v1/chat/completions", body);
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(Json::parse(reply.body)["error"]["param"], "mystery");
  std::string longer;
  for (int i = 0; i < 4000; ++i) longer += "word ";
  reply = server.post("/v1/chat/completions", chat(longer));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(Json::parse(reply.body)["error"]["param"], "messages");
}

// Many at once, in few blocks so that some are preempted: every answer equals the one of a request alone.
TEST(EndToEnd, ExactUnderLoad) {
  NEED_MODEL();
  std::vector<Json> bodies;
  for (int i = 0; i < 24; ++i) {
    Json body = chat(fmt::format("Tell me fact number {} about {}.", i, i % 2 ? "the sea" : "old maps"), 60);
    body["ignore_eos"] = true;
    if (i % 3 == 0) {
      body["temperature"] = 0.9;
      body["seed"] = i;
    }
    bodies.push_back(std::move(body));
  }
  const auto content = [](const Reply& reply) -> std::string {
    return reply.status == 200 ? Json::parse(reply.body)["choices"][0]["message"]["content"].get<std::string>()
                               : reply.body;
  };
  std::vector<std::string> alone;
  {
    Server server;
    for (const Json& body : bodies) alone.push_back(content(server.post("/v1/chat/completions", body)));
  }
  ModelBackendOptions tight;
  tight.executor.context = 256;
  tight.executor.sched.max_seqs = 16;
  tight.executor.kv_memory = int64_t{15} << 20;  // about 10 blocks of 64 tokens
  Server server(tight);
  std::vector<std::future<Reply>> futures;
  for (const Json& body : bodies) {
    futures.push_back(std::async(std::launch::async, [&] { return server.post("/v1/chat/completions", body); }));
  }
  for (size_t i = 0; i < bodies.size(); ++i) EXPECT_EQ(content(futures[i].get()), alone[i]) << i;
  const BackendStats stats = server.stats();
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_GT(stats.batch_sequences, 3 * stats.steps);
  EXPECT_EQ(stats.blocks_used, 0);
}

TEST(EndToEnd, ADepartedClientGivesEverythingBack) {
  NEED_MODEL();
  Server server;
  server.post("/v1/chat/completions", chat("Hi", 1));
  {
    RawClient client(server.port());
    Json body = chat("Write a long story.", 1500);
    body["ignore_eos"] = true;
    body["stream"] = true;
    const std::string text = body.dump();
    client.send(fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{}", text.size(), text));
    client.read_some();
  }
  for (int i = 0; i < 400 && server.stats().running > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(server.stats().running, 0);
  EXPECT_EQ(server.stats().blocks_used, 0);
}

TEST(EndToEnd, ResponsesContinueAConversation) {
  NEED_MODEL();
  Server server;
  const Reply first = server.post("/v1/responses", {{"input", "My name is Ada."}, {"max_output_tokens", 8}, {"temperature", 0}});
  ASSERT_EQ(first.status, 200) << first.body;
  const std::string id = Json::parse(first.body)["id"];
  EXPECT_EQ(request(server.port(), "GET", "/v1/responses/" + id).status, 200);
  const Reply second = server.post("/v1/responses", {{"input", "What is my name?"}, {"previous_response_id", id}, {"max_output_tokens", 16}, {"temperature", 0}});
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_GT(Json::parse(second.body)["usage"]["input_tokens"], Json::parse(first.body)["usage"]["input_tokens"]);
  EXPECT_EQ(server.post("/v1/responses", {{"input", "x"}, {"previous_response_id", "resp-none"}}).status, 404);
  EXPECT_EQ(request(server.port(), "DELETE", "/v1/responses/" + id).status, 200);
  EXPECT_EQ(request(server.port(), "GET", "/v1/responses/" + id).status, 404);
}

}  // namespace
}  // namespace callie::serve
