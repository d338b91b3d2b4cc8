#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "serve/api/endpoints.h"
#include "serve/api/job.h"

namespace callie::serve {

/// Fields that a response repeats from its request.
struct ResponseEcho {
  Json instructions, previous_response_id, tools, tool_choice, text_format, metadata, reasoning, user;
  double temperature = 0, top_p = 0;
  Json max_output_tokens, max_tool_calls;
  int top_logprobs = 0;
  bool parallel_tool_calls = true, store = true;
};

/// Shows an answer as a response: reasoning, message and function calls are items of its output, each with its events when
/// streamed. A stored one is kept with its conversation, for `previous_response_id`.
class ResponsesFormat : public AnswerFormat {
 public:
  /// `messages`: the conversation before the answer, as chat messages.
  ResponsesFormat(const Call& call, ResponseEcho echo, Json messages, bool logprobs);
  void begin(Exchange& exchange) override;
  void delta(Exchange& exchange, int index, const AnswerDelta& delta, const std::vector<LoggedToken>& tokens) override;
  void done(Exchange& exchange, const std::vector<Choice>& choices, const Usage& usage) override;
  void stream_error(Exchange& exchange, const std::string& json) override;

 private:
  struct CallItem {
    std::string id, call_id;
    int output_index;
  };

  Json response(const char* status, Json output, Json usage) const;
  Json message_item(const char* status, Json content) const;
  Json reasoning_item(const char* status, Json content) const;
  static Json call_item(const CallItem& item, const ToolCall& call, const char* status);
  Json logprobs_of(const std::vector<LoggedToken>& tokens) const;

  void event(Exchange& exchange, const char* type, Json fields);
  /// The events that open an item with one part, and those that close it.
  void open_item(Exchange& exchange, int output_index, Json item, Json part);
  void close_item(Exchange& exchange, int output_index, const char* text_done, Json item);
  void open_message(Exchange& exchange);
  void close_reasoning(Exchange& exchange, const char* status);
  void keep(const Json& whole, const Answer& answer);

  std::shared_ptr<Backend> backend_;
  ResponseStore* store_;
  ResponseEcho echo_;
  Json messages_;
  bool logprobs_;
  std::string id_, message_id_, reasoning_id_;
  int64_t created_;
  bool streaming_ = false;
  int sequence_ = 0;
  int n_items_ = 0;
  int message_index_ = -1, reasoning_index_ = -1;  // in the output; -1 = not there yet
  std::string reasoning_;                          // streamed so far
  bool reasoning_open_ = false;
  std::vector<CallItem> calls_;
};

}  // namespace callie::serve
