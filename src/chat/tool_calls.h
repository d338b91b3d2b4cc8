#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie {

/// How a family of models writes tool calls into its text.
enum class ToolFormat {
  kNone,
  kHermes,      ///< <tool_call>{"name": …, "arguments": …}</tool_call>: Hermes, Qwen2.5, Qwen3
  kQwenXml,     ///< <tool_call><function=NAME><parameter=P>…: Qwen3-Coder
  kLlama3Json,  ///< {"name": …, "parameters": …}, perhaps after <|python_tag|>: Llama 3.1–3.3
  kMistral,     ///< [TOOL_CALLS] [{"name": …, "arguments": …}] or [TOOL_CALLS]NAME[ARGS]{…}
  kGemma,       ///< ```tool_code``` blocks of Python-like calls, or [f(a=1)]
};

/// The format that a chat template (its Jinja source) asks the model to write; kHermes where it says nothing of it but
/// knows tools, kNone where it does not.
ToolFormat detect_tool_format(std::string_view template_source);

struct ToolCallDelta {
  int index = 0;          ///< which call of this answer
  std::string name;       ///< set once, with the first delta of a call
  std::string arguments;  ///< a further part of the arguments' JSON text
};

/// A part of an answer: what to append to the reasoning, to the content and to the calls.
struct AnswerDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCallDelta> calls;
  bool empty() const { return reasoning.empty() && content.empty() && calls.empty(); }
};

struct ToolCall {
  std::string name, arguments;  ///< `arguments`: JSON text
};
struct Answer {
  std::string reasoning, content;
  std::vector<ToolCall> calls;
};

/// Parses streamed text of a model. The sums of all deltas do not depend on how the text was cut. Text that begins like
/// a call and is not one comes out as content, nothing is lost but the whitespace between reasoning, calls and content. In
/// the formats of Hermes and Llama 3 an answer that begins with a call's JSON, bare or in a Markdown fence instead of the
/// marks around it, is a call too: small models forget them. The arguments of a Hermes call in its marks come while they are
/// written, as the model writes them; those of other calls at the call's end.
class AnswerParser {
 public:
  struct Options {
    ToolFormat format = ToolFormat::kNone;
    bool reasoning = false;          ///< <think>…</think> goes to `reasoning`
    bool starts_in_reasoning = false;  ///< the prompt ended with <think>
    std::vector<std::string> tools;  ///< names that a call without marks must have; empty = any
    bool parallel = true;            ///< false: calls after the first are left out
  };
  explicit AnswerParser(const Options& options);
  ~AnswerParser();
  AnswerDelta add(std::string_view text);
  /// The end of the text: everything still held back.
  AnswerDelta finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The whole text at once.
Answer parse_answer(std::string_view text, const AnswerParser::Options& options);

/// A Lark grammar that makes the model call: any of `tools` (OpenAI function tools) when `name` is empty
/// (tool_choice "required"), else that one. Errors: kNotFound (no such tool), kUnimplemented (the format has no grammar).
StatusOr<std::string> tool_choice_grammar(ToolFormat format, const nlohmann::ordered_json& tools, std::string_view name,
                                          bool parallel = false);

}  // namespace callie
