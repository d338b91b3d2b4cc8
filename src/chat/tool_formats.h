#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "chat/tool_calls.h"

namespace callie {

/// The calls that the text of one block makes (what stands between a format's marks), or nothing where it is no call.
std::optional<std::vector<ToolCall>> read_calls(ToolFormat format, std::string_view block);

}  // namespace callie
