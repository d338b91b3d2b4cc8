#include "core/log.h"

#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <unistd.h>

#include <mutex>

#include "core/json.h"

namespace callie {
namespace {

using Ansi = spdlog::sinks::ansicolor_stderr_sink_mt;

/// stderr. A reader that stalls (a stopped terminal, a full pipe) costs lines of the log, and never a server its answers.
class StderrSink : public Ansi {
 public:
  void log(const spdlog::details::log_msg& message) override {
    const std::lock_guard lock(stall_mutex_);
    pollfd stream{STDERR_FILENO, POLLOUT, 0};
    if (poll(&stream, 1, 0) == 0) {
      ++lost_;
      return;
    }
    if (lost_ > 0) {
      const std::string text = fmt::format("{} lines of this log were lost: nobody read them", std::exchange(lost_, 0));
      Ansi::log({message.logger_name, spdlog::level::warn, text});
    }
    Ansi::log(message);
  }

 private:
  std::mutex stall_mutex_;
  int64_t lost_ = 0;
};

/// The message as a JSON string.
class JsonMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& to) override {
    const std::string text =
        Json(std::string(message.payload.data(), message.payload.size())).dump(-1, ' ', false, Json::error_handler_t::replace);
    to.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonMessage>(); }
};

}  // namespace

void init_logging(const std::string& level, LogFormat format) {
  auto logger = spdlog::get("callie");
  if (!logger) {
    logger = std::make_shared<spdlog::logger>("callie", std::make_shared<StderrSink>());
    spdlog::register_logger(logger);
  }
  logger->set_level(spdlog::level::from_str(level));
  if (format == LogFormat::kJson) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<JsonMessage>('*').set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%*})");
    logger->set_formatter(std::move(formatter));
  } else {
    logger->set_pattern("%^%l%$: %v");
  }
  spdlog::set_default_logger(logger);
}

}  // namespace callie
