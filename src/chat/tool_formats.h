#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/tool_calls.h"

namespace callie {

/// The calls that the text of one block makes (what stands between a format's marks), or nothing where it is no call.
std::optional<std::vector<ToolCall>> read_calls(ToolFormat format, std::string_view block);

/// How a call begins whose arguments can be shown while they are written.
struct CallHead {
  std::string name;
  size_t size;  ///< before the object of the arguments
};
/// Nothing where `block` is not {"name": NAME, "arguments": and a brace, or not yet.
std::optional<CallHead> read_call_head(std::string_view block);

}  // namespace callie
