#include "serve/api/logprobs.h"

#include <algorithm>

#include "tokenizer/tokenizer.h"

namespace callie::serve {
namespace {

// JSON has no infinity.
double finite(float logprob) { return std::max(logprob, -9999.0f); }

// A character that several tokens share counts with the first of them.
size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

Json bytes_of(std::string_view text) {
  Json bytes = Json::array();
  for (unsigned char c : text) bytes.push_back(static_cast<int>(c));
  return bytes;
}

}  // namespace

Json chat_logprobs(const std::vector<LoggedToken>& tokens, const Tokenizer& tokenizer) {
  Json content = Json::array();
  for (const LoggedToken& token : tokens) {
    Json top = Json::array();
    for (const TokenLogprob& one : token.info.top) {
      const std::string text(tokenizer.token_bytes(one.token));
      top.push_back({{"token", text}, {"logprob", finite(one.logprob)}, {"bytes", bytes_of(text)}});
    }
    content.push_back({{"token", token.bytes},
                       {"logprob", finite(token.info.logprob)},
                       {"bytes", bytes_of(token.bytes)},
                       {"top_logprobs", std::move(top)}});
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json completion_logprobs(const std::vector<LoggedToken>& tokens, const Tokenizer& tokenizer, size_t* offset) {
  Json out = {{"tokens", Json::array()},
              {"token_logprobs", Json::array()},
              {"top_logprobs", Json::array()},
              {"text_offset", Json::array()}};
  for (const LoggedToken& token : tokens) {
    out["tokens"].push_back(token.bytes);
    out["token_logprobs"].push_back(finite(token.info.logprob));
    Json top = Json::object();
    for (const TokenLogprob& one : token.info.top) {
      top[std::string(tokenizer.token_bytes(one.token))] = finite(one.logprob);
    }
    top[token.bytes] = finite(token.info.logprob);  // of the chosen token always
    out["top_logprobs"].push_back(std::move(top));
    out["text_offset"].push_back(*offset);
    *offset += code_points(token.bytes);
  }
  return out;
}

}  // namespace callie::serve
