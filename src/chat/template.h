#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace callie {

class Tokenizer;

/// What a chat template sees beside the messages. `Json` is nlohmann::ordered_json (core/json.h).
struct TemplateInput {
  const nlohmann::ordered_json* messages = nullptr;   ///< array of {role, content, tool_calls?, …}
  const nlohmann::ordered_json* tools = nullptr;      ///< array of OpenAI function tools, or none
  const nlohmann::ordered_json* extra = nullptr;      ///< object: further variables, such as enable_thinking
  bool add_generation_prompt = true;
  int64_t now_unix_s = -1;  ///< the clock that `strftime_now` reads; -1 is the system's
};

/// A model's own Jinja chat template, rendered as Hugging Face renders it (trim_blocks, lstrip_blocks, loop controls,
/// Python's `tojson`, string methods). Immutable; safe to use from several threads.
class ChatTemplate {
 public:
  /// Errors: kInvalidArgument with the template's line.
  static StatusOr<ChatTemplate> compile(std::string_view source, std::string_view bos_token, std::string_view eos_token);
  /// The template of the model's file with the texts of its BOS and EOS. Errors: kNotFound where the file has none.
  static StatusOr<ChatTemplate> from_tokenizer(const Tokenizer& tokenizer);

  /// The prompt. It begins with BOS where the template says so: encode it with parse_special and without add_special.
  /// Errors: kInvalidArgument with the template's own message (raise_exception) or the place of the failure.
  StatusOr<std::string> render(const TemplateInput& input) const;

  const std::string& source() const;
  /// The source mentions `tools`.
  bool supports_tools() const;
  /// The source mentions `enable_thinking`.
  bool supports_thinking() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace callie
