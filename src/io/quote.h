#pragma once

#include <string>
#include <string_view>

namespace callie::io {

/// A name from a file as it may stand in an error line: in single quotes, control characters and
/// invalid UTF-8 as \xNN, cut after `max_bytes`.
std::string quote(std::string_view name, size_t max_bytes = 80);

}  // namespace callie::io
