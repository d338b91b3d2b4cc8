// POST /tokenize, /detokenize and /v1/embeddings
#include <cstring>

#include "serve/api/chat_prompt.h"
#include "serve/api/endpoints.h"
#include "serve/api/fields.h"
#include "tokenizer/tokenizer.h"

namespace callie::serve {
namespace {

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) word = (word << 8) | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? kBase64[(word >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

void answer_embeddings(Exchange& exchange, const std::string& model, const std::string& encoding, int64_t dimensions,
                       const std::vector<Backend::Embedding>& results) {
  Json data = Json::array();
  int64_t tokens = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const std::vector<float>& values = results[i].values;
    if (dimensions > 0 && static_cast<size_t>(dimensions) != values.size()) {
      return respond_error(exchange, bad_field("dimensions", fmt::format("dimensions: the model gives {}", values.size())));
    }
    tokens += results[i].tokens;
    Json embedding = encoding == "base64" ? Json(base64(values)) : Json(values);
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", std::move(embedding)}});
  }
  exchange.respond(200, "application/json",
                   dump({{"object", "list"},
                         {"data", std::move(data)},
                         {"model", model},
                         {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}}));
}

}  // namespace

void tokenize(const Call& call) {
  Fields fields(call.body);
  fields.ignore({"model"});
  const bool add_special = fields.boolean("add_special", fields.boolean("add_special_tokens", false));
  const bool parse_special = fields.boolean("parse_special", true);
  const bool with_pieces = fields.boolean("with_pieces", false);
  const std::string name = fields.has("content") ? "content" : "prompt";
  if (!fields.has(name)) fields.fail(name, "is missing");
  const std::string text = fields.text(name);
  if (const auto error = fields.finish()) return respond_error(*call.exchange, *error);
  const Tokenizer& tokenizer = call.backend->tokenizer();
  const auto ids = tokenizer.encode(text, {.parse_special = parse_special, .add_special = add_special});
  if (!ids.ok()) return respond_error(*call.exchange, from_status(ids.status(), name));
  Json out = {{"tokens", *ids}, {"count", ids->size()}, {"max_model_len", call.backend->info().context}};
  if (with_pieces) {
    for (int32_t id : *ids) out["pieces"].push_back(std::string(tokenizer.token_bytes(id)));
  }
  call.exchange->respond(200, "application/json", dump(out));
}

void detokenize(const Call& call) {
  Fields fields(call.body);
  fields.ignore({"model"});
  const Json& tokens = fields.array("tokens");
  if (tokens.is_null()) fields.fail("tokens", "must be an array of token ids");
  if (const auto error = fields.finish()) return respond_error(*call.exchange, *error);
  std::vector<int32_t> ids;
  for (const Json& token : tokens) {
    if (!token.is_number_integer() || token.get<int64_t>() < 0 ||
        token.get<int64_t>() >= call.backend->tokenizer().vocab_size()) {
      return respond_error(*call.exchange, bad_field("tokens", fmt::format("tokens: {} is not a token id", token.dump())));
    }
    ids.push_back(token.get<int32_t>());
  }
  const auto text = call.backend->tokenizer().decode(ids);
  if (!text.ok()) return respond_error(*call.exchange, from_status(text.status(), "tokens"));
  call.exchange->respond(200, "application/json", dump({{"prompt", *text}, {"content", *text}}));
}

void embeddings(const Call& call) {
  Fields fields(call.body);
  fields.ignore({"model", "user"});
  const std::string encoding = fields.text("encoding_format", "float");
  if (encoding != "float" && encoding != "base64") fields.fail("encoding_format", "must be 'float' or 'base64'");
  const int64_t dimensions = fields.integer("dimensions", 0, 1, 1 << 16);
  const Json& input = fields.any("input");
  if (const auto error = fields.finish()) return respond_error(*call.exchange, *error);
  if (!call.backend->info().embeds) {
    return respond_error(*call.exchange,
                         bad_field("model", fmt::format("model: {} gives no embeddings; serve a sentence encoder such as all-minilm-l6-v2", call.backend->info().id)));
  }
  const bool ids = input.is_array() && !input.empty() && input[0].is_number();
  const Json list = input.is_string() || ids ? Json::array({input}) : input;
  if (!list.is_array() || list.empty() || list.size() > 2048) {
    return respond_error(*call.exchange, bad_field("input", "input: must be a string or 1 to 2048 strings"));
  }
  std::vector<std::vector<int32_t>> inputs;
  for (const Json& one : list) {
    if (one.is_string()) {
      auto tokens = call.backend->tokenizer().encode(one.get<std::string>(), {.add_special = true, .lossy = true});
      if (!tokens.ok()) return respond_error(*call.exchange, from_status(tokens.status(), "input"));
      inputs.push_back(std::move(*tokens));
    } else if (one.is_array()) {
      std::vector<int32_t> tokens;
      for (const Json& id : one) {
        const int64_t n = id.is_number_integer() ? id.get<int64_t>() : -1;
        if (n < 0 || n >= call.backend->tokenizer().vocab_size()) {
          return respond_error(*call.exchange, bad_field("input", "input: " + id.dump() + " is not a token id"));
        }
        tokens.push_back(static_cast<int32_t>(n));
      }
      inputs.push_back(std::move(tokens));
    } else {
      return respond_error(*call.exchange, bad_field("input", "input: must be strings or arrays of token ids"));
    }
    if (inputs.back().empty()) return respond_error(*call.exchange, bad_field("input", "input: has no tokens"));
    if (inputs.back().size() > static_cast<size_t>(call.backend->info().context)) {
      return respond_error(*call.exchange, context_exceeded(*call.backend, inputs.back().size(), "input"));
    }
  }
  const std::string model = call.backend->info().id;
  const Status queued = call.backend->embed(
      std::move(inputs), [exchange = call.exchange, model, encoding, dimensions](StatusOr<std::vector<Backend::Embedding>> results) {
        if (!results.ok()) return respond_error(*exchange, from_status(results.status(), "input"));
        exchange->post([exchange, model, encoding, dimensions, results = std::move(*results)] {
          answer_embeddings(*exchange, model, encoding, dimensions, results);
        });
      });
  if (!queued.ok()) respond_error(*call.exchange, from_status(queued, "input"));
}

}  // namespace callie::serve
