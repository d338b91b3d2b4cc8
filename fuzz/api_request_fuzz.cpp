// Requests to the API, from the router to the answer, with a model that writes a fixed text: every request gets exactly one
// complete answer of valid JSON or events, and none is an internal error.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "chat/grammar.h"
#include "chat/template.h"
#include "core/json.h"
#include "core/log.h"
#include "serve/api/api.h"
#include "serve/response_store.h"
#include "tokenizer/byte_tokenizer.h"

namespace callie::serve {
namespace {

[[noreturn]] void broken(const char* what, std::string_view text) {
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

constexpr const char* kTemplate =
    "{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"
    "{% if enable_thinking %}<think>\n{% endif %}";
constexpr const char* kAnswer = "Well.<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call> \xC3\xA9";

/// Writes kAnswer, or the first text that a constraint allows.
class FixedBackend : public Backend {
 public:
  FixedBackend(const std::string& id, bool generates) : tokenizer_(test::byte_tokenizer()) {
    if (!tokenizer_) std::abort();
    info_.id = id;
    info_.context = 2048;
    info_.fingerprint = "fp_0";
    info_.generates = generates;
    info_.embeds = !generates;
    auto chat = ChatTemplate::compile(kTemplate, "<s>", "</s>");
    if (!chat.ok()) std::abort();
    template_ = std::make_unique<ChatTemplate>(std::move(*chat));
    grammars_ = std::move(*GrammarCompiler::create(*tokenizer_));
  }
  const ModelInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  const ChatTemplate* chat_template() const override { return template_.get(); }
  StatusOr<std::shared_ptr<const GrammarCompiler>> grammars() override { return grammars_; }

  StatusOr<uint64_t> generate(AnswerRequest request, std::shared_ptr<GenerationSink> sink) override {
    CALLIE_RETURN_IF_ERROR(request.sampling.validate(tokenizer_->vocab_size()));
    if (request.prompt.empty() || request.prompt.size() >= 2048) broken("prompt of a wrong length", "");
    GenerationEnd end;
    end.reason = sched::FinishReason::kStop;
    if (request.mask) {
      std::vector<uint32_t> bits((tokenizer_->vocab_size() + 31) / 32);
      for (int i = 0; i < 12 && !request.mask->must_end(); ++i) {
        if (!request.mask->fill(bits).ok()) break;
        int32_t token = 0;
        while (token < tokenizer_->vocab_size() && !(bits[token / 32] >> (token % 32) & 1)) ++token;
        if (token == tokenizer_->vocab_size() || tokenizer_->is_end_of_generation(token)) break;
        if (!request.mask->accept(token).ok()) broken("an allowed token is refused", "");
        put(*sink, std::string(tokenizer_->token_bytes(token)), token, request);
        ++end.output_tokens;
      }
    } else {
      for (const char* c = kAnswer; *c; c += 3) {
        put(*sink, std::string(c).substr(0, 3), 2 + static_cast<unsigned char>(*c), request);
        ++end.output_tokens;
        if (!c[1] || !c[2]) break;
      }
    }
    sink->on_end(end);
    return ++n_;
  }
  void cancel(uint64_t) override {}
  Status embed(std::vector<std::vector<int32_t>> inputs, Embedded done) override {
    std::vector<Embedding> out;
    for (const auto& input : inputs) out.push_back({{0.5f, -0.5f}, static_cast<int32_t>(input.size())});
    done(std::move(out));
    return ok_status();
  }
  void stop() override {}
  BackendStats stats() const override { return {}; }
  std::string debug_steps() const override { return "{}\n"; }

 private:
  static void put(GenerationSink& sink, std::string text, int32_t token, const AnswerRequest& request) {
    GenerationDelta delta{.text = std::move(text), .n_tokens = 1};
    if (request.top_logprobs >= 0) delta.tokens.push_back({token, -1.0f, {{token, -1.0f}}});
    sink.on_delta(std::move(delta));
  }

  ModelInfo info_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
  std::shared_ptr<const GrammarCompiler> grammars_;
  uint64_t n_ = 0;
};

/// Keeps the answer; work that is posted runs in order when run() is called.
class KeptExchange : public Exchange {
 public:
  explicit KeptExchange(HttpRequest request) { request_ = std::move(request); }
  void respond(int code, std::string, std::string text, Headers) override {
    if (status != 0) broken("a second answer", text);
    status = code;
    body = std::move(text);
    ended = true;
  }
  void begin_stream(int code, std::string, Headers) override {
    if (status != 0) broken("a stream after an answer", body);
    status = code;
    streamed = true;
  }
  void write(std::string chunk) override {
    if (!streamed || ended) broken("a chunk outside of a stream", chunk);
    body += chunk;
  }
  void end() override { ended = true; }
  void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }
  void on_gone(std::function<void()>) override {}
  void run() {
    while (!posted_.empty()) {
      const auto work = std::move(posted_.front());
      posted_.pop_front();
      work();
    }
  }

  int status = 0;
  bool streamed = false, ended = false;
  std::string body;

 private:
  std::deque<std::function<void()>> posted_;
};

struct World {
  World() {
    init_logging("off");
    std::vector<ModelHub::Entry> entries(2);
    for (const bool generates : {true, false}) {
      const std::string id = generates ? "m" : "e";
      entries[generates ? 0 : 1] = {.id = id, .load = [id, generates]() -> StatusOr<std::shared_ptr<Backend>> {
        return std::shared_ptr<Backend>(std::make_shared<FixedBackend>(id, generates));
      }};
    }
    hub = std::make_unique<ModelHub>(std::move(entries), HubOptions());
    if (!hub->load_first().ok()) std::abort();
    for (bool there = false; !there;) {
      hub->use("e", [](const auto&) {});
      there = hub->list()[1].backend != nullptr;
    }
    store = std::move(*ResponseStore::open(":memory:", 50));
    Entry kept{.response = R"({"id":"resp-1"})", .messages = R"([{"role":"user","content":"Hi"}])"};
    if (!store->put("resp-1", kept).ok()) std::abort();
    api = std::make_unique<Api>(ApiOptions(), ApiKeys(), hub.get(), &metrics, store.get(), [] { return HttpStats(); });
  }
  using Entry = ResponseStore::Entry;
  Metrics metrics;
  std::unique_ptr<ModelHub> hub;
  std::unique_ptr<ResponseStore> store;
  std::unique_ptr<Api> api;
};

void check_json(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) broken("not JSON", text);
  if (json.is_object() && json.contains("error") && !json["error"].is_null() && !json["error"].contains("message")) {
    broken("an error without a message", text);
  }
}

void check_events(std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find("\n\n");
    if (end == std::string_view::npos) broken("an event that does not end", text);
    std::string_view event = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (event.starts_with("event: ")) event.remove_prefix(event.find('\n') + 1);
    if (!event.starts_with("data: ")) broken("not an event", event);
    event.remove_prefix(6);
    if (event != "[DONE]") check_json(event);
  }
}

constexpr const char* kPaths[] = {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings",
                                  "/tokenize",            "/detokenize"};

}  // namespace
}  // namespace callie::serve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie::serve;
  static World world;
  if (size < 1) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  HttpRequest request;
  const size_t route = data[0] % (std::size(kPaths) + 2);
  if (route < std::size(kPaths)) {
    request.method = "POST";
    request.path = kPaths[route];
    request.body = rest;
  } else {
    request.method = route == std::size(kPaths) ? "GET" : "DELETE";
    request.path = rest;
  }
  const auto exchange = std::make_shared<KeptExchange>(std::move(request));
  world.api->handle(exchange);
  exchange->run();
  if (exchange->status == 0 || !exchange->ended) broken("no complete answer", rest);
  if (exchange->status >= 500) broken("an internal error", exchange->body);
  if (exchange->status != 200 && exchange->streamed) broken("an error as a stream", exchange->body);
  if (exchange->streamed) {
    check_events(exchange->body);
  } else if (route < std::size(kPaths)) {
    check_json(exchange->body);
  }
  if (world.metrics.streams != 0) broken("answers are still counted as open", rest);
  return 0;
}
