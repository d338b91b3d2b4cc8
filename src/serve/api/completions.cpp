// POST /v1/completions
#include "serve/api/chat_prompt.h"
#include "serve/api/endpoints.h"
#include "serve/api/fields.h"
#include "serve/api/job.h"
#include "serve/api/logprobs.h"
#include "serve/api/validate.h"
#include "tokenizer/tokenizer.h"

namespace callie::serve {
namespace {

class CompletionFormat : public AnswerFormat {
 public:
  CompletionFormat(const Call& call, const Parameters& parameters, size_t n_choices)
      : backend_(call.backend),
        id_(new_id("cmpl-")),
        created_(unix_time()),
        include_usage_(parameters.include_usage),
        logprobs_(parameters.top_logprobs >= 0),
        offsets_(n_choices, 0) {}

  void begin(Exchange&) override { streaming_ = true; }

  void delta(Exchange& exchange, int index, const AnswerDelta& delta, const std::vector<LoggedToken>& tokens) override {
    Json logprobs;
    if (logprobs_) logprobs = completion_logprobs(tokens, backend_->tokenizer(), &offsets_[index]);
    send(exchange, {{"index", index}, {"text", delta.content}, {"logprobs", logprobs}, {"finish_reason", nullptr}});
  }

  void choice_done(Exchange& exchange, const Choice& choice) override {
    send(exchange,
         {{"index", choice.index}, {"text", ""}, {"logprobs", nullptr}, {"finish_reason", choice.finish_reason}});
  }

  void done(Exchange& exchange, const std::vector<Choice>& choices, const Usage& usage) override {
    const Json counts = usage_json(usage);
    Json json = head();
    json["choices"] = Json::array();
    if (streaming_) {
      if (include_usage_) {
        json["usage"] = counts;
        send_event(exchange, dump(json));
      }
      exchange.write("data: [DONE]\n\n");
      return;
    }
    for (const Choice& choice : choices) {
      json["choices"].push_back(
          {{"index", choice.index},
           {"text", choice.text},
           {"logprobs", logprobs_ ? completion_logprobs(choice.tokens, backend_->tokenizer(), &offsets_[choice.index]) : Json()},
           {"finish_reason", choice.finish_reason}});
    }
    json["usage"] = counts;
    exchange.respond(200, "application/json", dump(json));
  }

 private:
  Json head() const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", backend_->info().id},
            {"system_fingerprint", backend_->info().fingerprint}};
  }
  void send(Exchange& exchange, Json choice) {
    Json json = head();
    json["choices"] = Json::array({std::move(choice)});
    if (include_usage_) json["usage"] = nullptr;
    send_event(exchange, dump(json));
  }

  std::shared_ptr<Backend> backend_;
  std::string id_;
  int64_t created_;
  bool include_usage_, logprobs_, streaming_ = false;
  std::vector<size_t> offsets_;  // where the next token of each choice begins, in characters
};

// `prompt`: a string, an array of strings, an array of token ids, or an array of such arrays.
std::optional<ApiError> read_prompts(const Call& call, const Json& prompt, std::vector<std::vector<int32_t>>* out) {
  const Tokenizer& tokenizer = call.backend->tokenizer();
  const bool ids = prompt.is_array() && !prompt.empty() && prompt[0].is_number();
  const Json list = prompt.is_string() || ids ? Json::array({prompt}) : prompt;
  if (!list.is_array() || list.empty()) {
    return bad_field("prompt", "prompt: must be a string or an array of strings or of token ids");
  }
  if (list.size() > static_cast<size_t>(call.context->limits.max_prompts)) {
    return bad_field("prompt", fmt::format("prompt: at most {} prompts", call.context->limits.max_prompts));
  }
  for (const Json& one : list) {
    std::vector<int32_t> tokens;
    if (one.is_string()) {
      auto encoded = tokenizer.encode(one.get<std::string>(), {.add_special = true, .lossy = true});
      if (!encoded.ok()) return from_status(encoded.status(), "prompt");
      tokens = std::move(*encoded);
    } else if (one.is_array()) {
      for (const Json& id : one) {
        if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= tokenizer.vocab_size()) {
          return bad_field("prompt", fmt::format("prompt: {} is not a token id", id.dump()));
        }
        tokens.push_back(id.get<int32_t>());
      }
    } else {
      return bad_field("prompt", "prompt: must be a string or an array of strings or of token ids");
    }
    if (tokens.empty()) return bad_field("prompt", "prompt: has no tokens");
    if (tokens.size() >= static_cast<size_t>(call.backend->info().context)) {
      return context_exceeded(*call.backend, tokens.size(), "prompt");
    }
    out->push_back(std::move(tokens));
  }
  return std::nullopt;
}

}  // namespace

void completions(const Call& call) {
  Exchange& exchange = *call.exchange;
  Fields fields(call.body);
  fields.ignore({"model"});
  Parameters p = read_parameters(fields, call.context->defaults, call.context->limits);
  p.max_new = static_cast<int>(fields.integer("max_tokens", 16, 1, INT32_MAX));
  p.top_logprobs = static_cast<int>(fields.integer("logprobs", -1, 0, call.context->limits.max_top_logprobs));
  fields.only("echo", false);
  fields.only("suffix", "");
  if (fields.integer("best_of", p.n, 1, call.context->limits.max_n) != p.n) {
    fields.fail("best_of", "is only supported equal to 'n'");
  }
  const Constraint format = read_format(fields, fields.object("response_format"), "response_format", false);
  const Json& prompt = fields.any("prompt");
  if (const auto error = fields.finish()) return respond_error(exchange, *error);
  if (const auto error = combine_constraints(format, {}, &p)) return respond_error(exchange, *error);
  std::vector<std::vector<int32_t>> prompts;
  if (const auto error = read_prompts(call, prompt, &prompts)) return respond_error(exchange, *error);
  p.max_new = std::min(p.max_new, call.backend->info().context);

  bool validate = false;
  std::vector<AnswerRequest> requests;
  for (const auto& tokens : prompts) {
    for (int i = 0; i < p.n; ++i) {
      auto mask = compile_constraint(*call.backend, p.constraint, *call.context->metrics, &validate);
      if (!mask.ok()) return respond_error(exchange, from_status(mask.status(), p.constraint.param));
      requests.push_back(make_request(p, tokens, i, std::move(*mask)));
    }
  }
  std::unique_ptr<AnswerFormat> shape = std::make_unique<CompletionFormat>(call, p, requests.size());
  if (validate) shape = validating(std::move(shape), content_matches(p.constraint.source), *call.context->metrics);
  Job::start(call.exchange, call.backend, std::move(requests),
             {.stream = p.stream, .one_prompt = prompts.size() == 1}, std::move(shape), *call.context->metrics);
}

}  // namespace callie::serve
