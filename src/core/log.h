#pragma once

#include <spdlog/spdlog.h>

#include <string>

namespace callie {

enum class LogFormat { kText, kJson };

/// Sets up the process's log on stderr. `level`: trace, debug, info, warn, error, off. The library itself logs through
/// spdlog's default logger and never prints.
void init_logging(const std::string& level = "warn", LogFormat format = LogFormat::kText);

}  // namespace callie
