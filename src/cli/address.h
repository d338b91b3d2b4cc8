#pragma once

#include <string>

#include "core/status.h"

namespace callie::cli {

/// Splits HOST:PORT, the port 0 to 65535. Errors: kUsage names `flag`.
Status parse_address(const std::string& flag, const std::string& text, std::string& host, int& port);

}  // namespace callie::cli
