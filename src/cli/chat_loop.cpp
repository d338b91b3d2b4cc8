#include "cli/chat_loop.h"

#include <editline/readline.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <optional>

#include "chat/template.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "decode/speculative/strategy.h"

namespace callie::cli {
namespace {

constexpr const char* kHelp =
    "  /help            this text\n"
    "  /new             start a new conversation\n"
    "  /system TEXT     set the system prompt and start anew\n"
    "  /temp T          set the temperature (0 = greedy)\n"
    "  /seed N          set the seed\n"
    "  /exit            leave (or Ctrl-D)\n"
    "  A line that ends with \\ goes on in the next one; \"\"\" begins and ends a block of lines.\n"
    "  Ctrl-C stops an answer.\n";

// Lines from a terminal with editing and history, or from a pipe as they come.
class LineReader {
 public:
  LineReader() : terminal_(isatty(STDIN_FILENO) == 1) {}

  std::optional<std::string> read(const char* prompt) {
    if (!terminal_) {
      std::string line;
      if (!std::getline(std::cin, line)) return std::nullopt;
      return line;
    }
    char* text = readline(prompt);
    if (!text) return std::nullopt;
    std::string line = text;
    if (!line.empty()) add_history(text);
    std::free(text);
    return line;
  }

  // One message: a line, lines joined by a trailing backslash, or a block between """.
  std::optional<std::string> read_message() {
    std::optional<std::string> line = read("> ");
    if (!line) return std::nullopt;
    std::string message = *line;
    if (message.rfind("\"\"\"", 0) == 0) {
      message.erase(0, 3);
      while ((line = read(". "))) {
        const size_t end = line->find("\"\"\"");
        message += '\n';
        message += line->substr(0, end);
        if (end != std::string::npos) break;
      }
      return message;
    }
    while (!message.empty() && message.back() == '\\' && (line = read(". "))) {
      message.back() = '\n';
      message += *line;
    }
    return message;
  }

 private:
  bool terminal_;
};

class Chat {
 public:
  Chat(Session& session, decode::Speculator* speculator, SamplingOptions sampling, decode::GenerateOptions options,
       std::string system)
      : session_(session), speculator_(speculator), sampling_(std::move(sampling)), options_(std::move(options)), system_(std::move(system)) {
    restart();
  }

  Status answer(const std::string& message) {
    messages_.push_back({{"role", "user"}, {"content", message}});
    CALLIE_ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::from_tokenizer(session_.model().tokenizer()));
    CALLIE_ASSIGN_OR_RETURN(const std::string text, chat.render({.messages = &messages_}));
    CALLIE_ASSIGN_OR_RETURN(const auto prompt, session_.model().tokenizer().encode(text, {.parse_special = true}));
    Sampler sampler(sampling_);
    const auto strategy = decode::make_strategy(session_, sampler, nullptr, speculator_);
    clear_interrupt();
    auto result = decode::generate(session_, *strategy, prompt, options_, [](std::string_view part) {
      std::fwrite(part.data(), 1, part.size(), stdout);
      std::fflush(stdout);
      return true;
    });
    clear_interrupt();
    if (!result.ok()) {
      messages_.erase(messages_.size() - 1);
      return result.status();
    }
    messages_.push_back({{"role", "assistant"}, {"content", result->text}});
    std::printf("\n");
    std::fprintf(stderr, "[%zu tokens, %.1f tok/s, context %ld of %ld]\n", result->token_ids.size(),
                 result->decode_tok_s(), static_cast<long>(session_.size()), static_cast<long>(session_.context()));
    if (result->finish_reason == decode::FinishReason::kContext) {
      std::fprintf(stderr, "warning: stopped, the context is full (/new starts anew, --ctx makes it longer)\n");
    }
    return ok_status();
  }

  // False when the chat ends.
  bool command(const std::string& line) {
    const size_t blank = line.find(' ');
    const std::string name = line.substr(0, blank);
    const std::string value = blank == std::string::npos ? "" : line.substr(blank + 1);
    if (name == "/exit" || name == "/quit") return false;
    if (name == "/new") {
      restart();
    } else if (name == "/system") {
      system_ = value;
      restart();
    } else if (name == "/temp" || name == "/seed") {
      set_number(name, value);
    } else {
      if (name != "/help") std::fprintf(stderr, "error: %s is not a command\n", name.c_str());
      std::fputs(kHelp, stderr);
    }
    return true;
  }

 private:
  void restart() {
    messages_ = Json::array();
    if (!system_.empty()) messages_.push_back({{"role", "system"}, {"content", system_}});
  }

  void set_number(const std::string& name, const std::string& value) {
    char* end = nullptr;
    SamplingOptions changed = sampling_;
    if (name == "/temp") {
      changed.temperature = std::strtof(value.c_str(), &end);
    } else {
      changed.seed = std::strtoull(value.c_str(), &end, 10);
    }
    const Status status = changed.validate(session_.model().spec().vocab_size);
    if (value.empty() || *end != '\0' || !status.ok()) {
      std::fprintf(stderr, "error: %s: '%s' does not fit\n", name.c_str(), value.c_str());
      return;
    }
    sampling_ = changed;
  }

  Session& session_;
  decode::Speculator* speculator_;
  SamplingOptions sampling_;
  decode::GenerateOptions options_;
  std::string system_;
  Json messages_;
};

}  // namespace

Status chat_loop(Session& session, decode::Speculator* speculator, SamplingOptions sampling,
                 decode::GenerateOptions options, const std::string& system) {
  CALLIE_RETURN_IF_ERROR(ChatTemplate::from_tokenizer(session.model().tokenizer()).status());
  Chat chat(session, speculator, std::move(sampling), std::move(options), system);
  std::fprintf(stderr, "%s; /help for commands, Ctrl-D to leave\n", session.model().path().c_str());
  LineReader reader;
  while (true) {
    const std::optional<std::string> message = reader.read_message();
    if (!message) break;
    if (message->empty()) continue;
    if (message->front() == '/') {
      if (!chat.command(*message)) break;
      continue;
    }
    const Status status = chat.answer(*message);
    if (!status.ok()) std::fprintf(stderr, "error: %s\n", status.message().c_str());
  }
  return ok_status();
}

}  // namespace callie::cli
