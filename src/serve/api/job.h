#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "chat/tool_calls.h"
#include "serve/backend.h"
#include "serve/http/exchange.h"

namespace callie::serve {

class Metrics;

/// A token with what its log-probability entry needs.
struct LoggedToken {
  std::string bytes;
  TokenInfo info;
};

/// One finished answer of a request.
struct Choice {
  int index = 0;
  Answer answer;
  std::string text;           ///< as generated, calls and reasoning included
  std::vector<LoggedToken> tokens;
  std::string finish_reason;  ///< "stop", "length", "tool_calls"
  int32_t reasoning_tokens = 0;  ///< before the first of the content and the calls
  GenerationEnd end;
};

struct Usage {
  int64_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
  int64_t reasoning_tokens = 0;  ///< of the output
};

/// How an endpoint shows answers. Runs on the connection's strand.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  /// Streaming: the first chunks, before any token.
  virtual void begin(Exchange&) {}
  virtual void delta(Exchange&, int /*index*/, const AnswerDelta&, const std::vector<LoggedToken>&) {}
  virtual void choice_done(Exchange&, const Choice&) {}
  /// All choices are complete: the whole answer, or the last chunks of the stream.
  virtual void done(Exchange&, const std::vector<Choice>&, const Usage&) = 0;
  /// The form of an error in the middle of a stream.
  virtual void stream_error(Exchange& exchange, const std::string& json);
};

/// Sends `json` as one server-sent event, of type `event` where given.
void send_event(Exchange& exchange, const std::string& json, const char* event = nullptr);

struct JobOptions {
  bool stream = false;
  AnswerParser::Options parser;
  /// For several prompts with one answer each the prompts' tokens count each; for n answers to one prompt, once.
  bool one_prompt = true;
};

/// One API request on its way: its answers are generated together and formatted as they come. Keeps itself alive until
/// the last of them has ended; cancels them when the client goes.
class Job : public std::enable_shared_from_this<Job> {
 public:
  static void start(std::shared_ptr<Exchange> exchange, std::shared_ptr<Backend> backend,
                    std::vector<AnswerRequest> requests, const JobOptions& options,
                    std::unique_ptr<AnswerFormat> format, Metrics& metrics);

 private:
  struct State;
  class Sink;
  Job() = default;
  void on_delta(int index, GenerationDelta delta);
  void on_end(int index, const GenerationEnd& end);
  void emit(int index, AnswerDelta delta);
  void fail(const Status& status);
  void cancel_all();

  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<Backend> backend_;
  JobOptions options_;
  std::unique_ptr<AnswerFormat> format_;
  Metrics* metrics_ = nullptr;
  std::vector<std::unique_ptr<State>> states_;
  int n_open_ = 0;
  bool streaming_ = false;
  bool failed_ = false;
};

}  // namespace callie::serve
