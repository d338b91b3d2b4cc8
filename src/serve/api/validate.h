#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/json.h"
#include "serve/api/job.h"

namespace callie::serve {

/// Checks the keywords of a JSON schema that the constraint cannot enforce exactly, `oneOf` and those inside it: type,
/// properties, required, additionalProperties, items, enum, const, ranges, lengths, the combining keywords and $ref.
/// True when `value` is valid; `reason` says where it is not.
bool valid_json(const Json& schema, const Json& value, std::string* reason);

/// Whether a complete answer is what was asked for.
using AnswerCheck = std::function<bool(const Answer&)>;
/// The content is JSON that matches `schema` (JSON text).
AnswerCheck content_matches(const std::string& schema);
/// The arguments of every call match the parameters of the tool it names (`tools`: OpenAI function tools).
AnswerCheck calls_match(const Json& tools);

/// Wraps a format: answers that ended by themselves are checked and counted in the metrics, failures too. One that fails
/// has the finish reason "content_filter" instead of "stop" or "tool_calls".
std::unique_ptr<AnswerFormat> validating(std::unique_ptr<AnswerFormat> format, AnswerCheck check, Metrics& metrics);

}  // namespace callie::serve
