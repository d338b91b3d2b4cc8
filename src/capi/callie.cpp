#include "callie.h"

#include <cstring>
#include <memory>
#include <string>

#include "chat/template.h"
#include "core/json.h"
#include "core/version.h"
#include "decode/generate.h"
#include "engine/model.h"
#include "engine/session.h"

struct callie_model {
  std::unique_ptr<callie::ThreadPool> pool;
  std::unique_ptr<callie::Session> session;
};

namespace {

thread_local std::string last_error;

int64_t fail(const callie::Status& status) {
  last_error = status.message();
  return -1;
}

// Fields that a caller built against an older header does not know keep their defaults.
callie_options complete(const callie_options* given) {
  callie_options options = callie_default_options();
  if (given) std::memcpy(&options, given, std::min<size_t>(given->size, sizeof options));
  return options;
}

callie::Status load(const char* path, const callie_options& options, callie_model& out) {
  out.pool = std::make_unique<callie::ThreadPool>(
      options.threads > 0 ? options.threads : callie::ThreadPool::physical_cores());
  callie::Context context{out.pool.get()};
  CALLIE_ASSIGN_OR_RETURN(const auto model, callie::Model::load(path, {}, context));
  callie::SessionOptions session;
  session.context = options.context;
  CALLIE_ASSIGN_OR_RETURN(out.session, callie::Session::create(model, session, *out.pool));
  return callie::ok_status();
}

callie::StatusOr<std::vector<int32_t>> encode(const callie::Tokenizer& tokenizer, const char* prompt, bool raw) {
  if (!raw) {
    auto chat = callie::ChatTemplate::from_tokenizer(tokenizer);
    if (chat.ok()) {
      const callie::Json messages = {{{"role", "user"}, {"content", prompt}}};
      CALLIE_ASSIGN_OR_RETURN(const std::string text, chat->render({.messages = &messages}));
      return tokenizer.encode(text, {.parse_special = true});
    }
    if (chat.status().code() != callie::StatusCode::kNotFound) return chat.status();
  }
  return tokenizer.encode(prompt, {.add_special = true});
}

callie::StatusOr<int64_t> generate(callie_model& model, const char* prompt, const callie_options& options,
                                   callie_on_text on_text, void* user) {
  callie::Session& session = *model.session;
  CALLIE_ASSIGN_OR_RETURN(const auto tokens, encode(session.model().tokenizer(), prompt, options.raw != 0));
  callie::SamplingOptions sampling;
  sampling.temperature = options.temperature;
  sampling.top_k = options.top_k;
  sampling.top_p = options.top_p;
  sampling.min_p = options.min_p;
  sampling.seed = options.seed;
  CALLIE_RETURN_IF_ERROR(sampling.validate(session.model().spec().vocab_size));
  callie::Sampler sampler(sampling);
  callie::decode::PlainStrategy strategy(session, sampler, nullptr);
  callie::decode::GenerateOptions generate_options;
  generate_options.max_new = options.max_new;
  CALLIE_ASSIGN_OR_RETURN(const auto result,
                          callie::decode::generate(session, strategy, tokens, generate_options, [&](std::string_view text) {
                            return !on_text || on_text(std::string(text).c_str(), user) != 0;
                          }));
  return static_cast<int64_t>(result.token_ids.size());
}

}  // namespace

callie_options callie_default_options(void) {
  const callie::SamplingOptions sampling;
  callie_options options = {};
  options.size = sizeof options;
  options.max_new = callie::decode::GenerateOptions().max_new;
  options.temperature = sampling.temperature;
  options.top_k = sampling.top_k;
  options.top_p = sampling.top_p;
  options.min_p = sampling.min_p;
  return options;
}

callie_model* callie_load(const char* path, const callie_options* options) {
  auto model = std::make_unique<callie_model>();
  const callie::Status status = load(path, complete(options), *model);
  if (!status.ok()) {
    fail(status);
    return nullptr;
  }
  return model.release();
}

void callie_free(callie_model* model) { delete model; }

int64_t callie_generate(callie_model* model, const char* prompt, const callie_options* options, callie_on_text on_text,
                        void* user) {
  const auto result = generate(*model, prompt, complete(options), on_text, user);
  return result.ok() ? *result : fail(result.status());
}

const char* callie_last_error(void) { return last_error.c_str(); }

const char* callie_version(void) { return callie::kVersion; }
