#include "core/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace callie {

void init_logging(const std::string& level, LogFormat format) {
  auto logger = spdlog::get("callie");
  if (!logger) logger = spdlog::stderr_color_mt("callie");
  logger->set_level(spdlog::level::from_str(level));
  if (format == LogFormat::kJson) {
    logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%v"})");
  } else {
    logger->set_pattern("%^%l%$: %v");
  }
  spdlog::set_default_logger(logger);
}

}  // namespace callie
