#include "chat/prompt_tokens.h"

#include "chat/template.h"
#include "core/json.h"

namespace callie {

StatusOr<std::vector<int32_t>> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt,
                                             const std::string& system, bool raw) {
  auto chat = raw ? StatusOr<ChatTemplate>(not_found("raw")) : ChatTemplate::from_tokenizer(tokenizer);
  if (!chat.ok()) {
    if (!raw && chat.status().code() != StatusCode::kNotFound) return chat.status();
    return tokenizer.encode(prompt, {.add_special = true});
  }
  Json messages = Json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  CALLIE_ASSIGN_OR_RETURN(const std::string text, chat->render({.messages = &messages}));
  return tokenizer.encode(text, {.parse_special = true});
}

}  // namespace callie
