// The whole server on a real model: SmolLM2-135M from CALLIE_MODELS or the cache.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <thread>

#include "engine/model_fixture.h"
#include "serve/api/api.h"
#include "serve/client.h"
#include "serve/model_backend.h"
#include "serve/response_store.h"

namespace callie::serve {
namespace {

std::string model_path() { return test::real_model("smollm2-135m"); }

/// A server with its own pool of KV blocks.
class Server {
 public:
  explicit Server(ModelBackendOptions options = {}) : pool_(1), context_{&pool_} {
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
  ~Server() {
    http_->stop();
    hub_->stop();  // answers end before the connections that they go to
  }
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
  if (model_path().empty()) GTEST_SKIP() << "smollm2-135m is not here"

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

// Prompts of Spec-Bench where the evaluation data is here, else some of other lengths.
std::vector<std::string> many_prompts(size_t n) {
  std::vector<std::string> prompts;
  const char* folder = std::getenv("CALLIE_DATA");
  std::ifstream file(folder ? std::string(folder) + "/eval/spec-bench-question.jsonl" : "");
  for (std::string line; std::getline(file, line);) {
    const std::string text = Json::parse(line)["turns"][0];
    if (text.size() < 200) prompts.push_back(text);
  }
  for (int i = 0; prompts.size() < n; ++i) {
    prompts.push_back(fmt::format("Tell me fact number {} about {}.", i, i % 2 ? "the sea" : "old maps"));
    for (int k = 0; k < i % 6; ++k) prompts.back() += " Begin with what happened first, then say what came of it.";
  }
  // Evenly over the file, whose tasks stand one after the other.
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i) out.push_back(prompts[i * prompts.size() / n]);
  return out;
}

// 64 at once, in few blocks so that some are preempted, with and without a prefix cache: every answer equals the one
// that another server gives to the request alone.
TEST(EndToEnd, ExactUnderLoad) {
  NEED_MODEL();
  std::vector<Json> bodies;
  for (const std::string& prompt : many_prompts(64)) {
    const auto i = static_cast<int>(bodies.size());
    Json body = chat(prompt, 36 + i % 5 * 8);
    body["ignore_eos"] = true;
    if (i % 3 == 0) {
      body["temperature"] = 0.9;
      body["seed"] = i;
    }
    bodies.push_back(std::move(body));
  }
  const auto content = [](const Reply& reply) -> std::string {
    return reply.status == 200 ? Json::parse(reply.body)["choices"][0]["message"]["content"].get<std::string>()
                               : "HTTP " + std::to_string(reply.status) + reply.body;
  };
  std::vector<std::string> alone;
  {
    Server server;
    for (const Json& body : bodies) alone.push_back(content(server.post("/v1/chat/completions", body)));
  }
  for (const bool prefix_cache : {true, false}) {
    SCOPED_TRACE(prefix_cache ? "with prefix cache" : "without prefix cache");
    const std::string log = testing::TempDir() + "callie_exact_steps.jsonl";
    ModelBackendOptions tight;
    tight.executor.context = 256;
    tight.executor.prefix_cache = prefix_cache;
    tight.executor.sched.max_seqs = 24;
    tight.executor.kv_memory = int64_t{22} << 20;  // about 60 blocks of 16 tokens
    tight.step_log = log;
    {
      Server server(tight);
      std::vector<std::future<Reply>> futures;
      for (const Json& body : bodies) {
        futures.push_back(std::async(std::launch::async, [&] { return server.post("/v1/chat/completions", body); }));
      }
      for (size_t i = 0; i < bodies.size(); ++i) EXPECT_EQ(content(futures[i].get()), alone[i]) << i;
      EXPECT_EQ(server.stats().blocks_used, 0);
    }
    int preempted = 0, largest_batch = 0;
    std::ifstream steps(log);
    for (std::string line; std::getline(steps, line);) {
      const Json step = Json::parse(line);
      preempted += step.value("preempted", 0);
      largest_batch = std::max(largest_batch, step.value("n_decode", 0));
    }
    EXPECT_GE(preempted, 20);
    EXPECT_GE(largest_batch, 8);
    std::remove(log.c_str());
  }
}

// Sixteen requests with a common beginning of about 1000 tokens, sent together: it is computed once.
TEST(EndToEnd, ASharedPrefixIsComputedOnce) {
  NEED_MODEL();
  std::string prefix;
  for (int i = 0; i < 160; ++i) prefix += fmt::format("Rule {} is kept. ", i);
  const std::string log = testing::TempDir() + "callie_prefix_steps.jsonl";
  ModelBackendOptions options;
  options.step_log = log;
  const int block = options.executor.block_size;
  int64_t prompt_tokens = 0, cached_tokens = 0;
  {
    Server server(options);
    std::vector<std::future<Reply>> futures;
    for (int i = 0; i < 16; ++i) {
      futures.push_back(std::async(std::launch::async, [&, i] {
        return server.post("/v1/chat/completions", chat(prefix + fmt::format("Now say {}.", i), 4));
      }));
    }
    for (auto& future : futures) {
      const Json usage = Json::parse(future.get().body)["usage"];
      prompt_tokens += usage["prompt_tokens"].get<int64_t>();
      cached_tokens += usage["prompt_tokens_details"]["cached_tokens"].get<int64_t>();
    }
  }
  const int64_t one = prompt_tokens / 16;
  EXPECT_GT(one, 1000);
  int64_t computed = 0;
  std::ifstream steps(log);
  for (std::string line; std::getline(steps, line);) computed += Json::parse(line).value("n_prefill", 0);
  EXPECT_EQ(computed, prompt_tokens - cached_tokens);
  EXPECT_LE(computed, one + 16 * (block + 20));  // the end of each prompt has fewer than 20 tokens
  std::remove(log.c_str());
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
