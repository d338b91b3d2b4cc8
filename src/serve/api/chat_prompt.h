#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chat/tool_calls.h"
#include "core/json.h"
#include "serve/api/error.h"
#include "serve/api/parameters.h"
#include "serve/backend.h"

namespace callie::serve {

class Fields;

/// What the model is asked about, in the terms of chat completions.
struct ChatInput {
  Json messages;              ///< as the templates want them, see normalize_messages
  Json tools;                 ///< array of function tools or null
  std::string tool_choice = "auto";  ///< "auto", "none", "required" or "function"
  std::string tool_name;      ///< for "function"
  bool parallel_calls = true;
  Json template_kwargs;       ///< object or null
};

/// Checks OpenAI chat messages and rewrites them for templates: content parts become one string, `developer` becomes
/// `system`, and the arguments of earlier tool calls become objects. Errors name messages[i].
std::optional<ApiError> normalize_messages(const Json& messages, const std::string& param, Json* out);

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`. With `flat` (responses), a tool's function fields stand
/// beside its type.
void read_tools(Fields& fields, bool flat, ChatInput* input);

/// The prompt's tokens, how to parse the answer, and the constraint that a tool choice brings.
struct ChatPrompt {
  std::vector<int32_t> tokens;
  AnswerParser::Options parser;
  Constraint constraint;
};
std::optional<ApiError> build_prompt(const Backend& backend, const ChatInput& input, const std::string& param,
                                     ChatPrompt* out);

/// Gives `parameters` the one constraint of the answer: what it has already (`regex`, `grammar`), the format's, or that of
/// the prompt's tool choice. Errors: more than one, a format beside tools, any beside ignore_eos.
std::optional<ApiError> combine_constraints(const Constraint& format, const ChatPrompt& prompt, Parameters* parameters);

/// The error for a constraint that does not compile; one that a tool choice brought names the tool whose schema is wrong.
ApiError constraint_error(Backend& backend, const Constraint& constraint, const Json& tools, bool flat, const Status& status);

/// The error for a prompt that leaves no room in the model's context.
ApiError context_exceeded(const Backend& backend, size_t n_tokens, const std::string& param);

}  // namespace callie::serve
