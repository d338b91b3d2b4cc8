#pragma once

#include <memory>
#include <string>

#include "core/json.h"
#include "serve/api/job.h"

namespace callie::serve {

/// Checks the keywords of a JSON schema that the constraint cannot enforce exactly, `oneOf` and those inside it: type,
/// properties, required, additionalProperties, items, enum, const, ranges, lengths, the combining keywords and $ref.
/// True when `value` is valid; `reason` says where it is not.
bool valid_json(const Json& schema, const Json& value, std::string* reason);

/// Wraps a format: finished answers are validated against `schema` and counted in the metrics, failures too. An answer
/// that is not valid has the finish reason "content_filter" instead of "stop".
std::unique_ptr<AnswerFormat> validating(std::unique_ptr<AnswerFormat> format, const std::string& schema,
                                         Metrics& metrics);

}  // namespace callie::serve
