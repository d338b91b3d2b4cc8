#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "plan/workload/workload.h"

namespace callie::plan {

/// The format of a JSONL trace by its first line; "" when unknown.
std::string recognise_jsonl(std::string_view line);
/// mooncake, llmservingsim or callie. Errors: kDataLoss "file:line: field: why".
StatusOr<Trace> import_jsonl(const std::string& text, const std::string& name, const std::string& format);

}  // namespace callie::plan
