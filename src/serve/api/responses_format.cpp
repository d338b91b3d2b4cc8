#include "serve/api/responses_format.h"

#include "serve/api/logprobs.h"
#include "serve/response_store.h"

namespace callie::serve {
namespace {

Json text_part(const std::string& text, Json logprobs) {
  return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", std::move(logprobs)}};
}

Json reasoning_part(const std::string& text) { return {{"type", "reasoning_text"}, {"text", text}}; }

}  // namespace

ResponsesFormat::ResponsesFormat(const Call& call, ResponseEcho echo, Json messages, bool logprobs)
    : backend_(call.backend),
      store_(call.context->store),
      echo_(std::move(echo)),
      messages_(std::move(messages)),
      logprobs_(logprobs),
      id_(new_id("resp_")),
      message_id_(new_id("msg_")),
      reasoning_id_(new_id("rs_")),
      created_(unix_time()) {}

void ResponsesFormat::begin(Exchange& exchange) {
  streaming_ = true;
  event(exchange, "response.created", {{"response", response("in_progress", Json::array(), nullptr)}});
  event(exchange, "response.in_progress", {{"response", response("in_progress", Json::array(), nullptr)}});
}

void ResponsesFormat::delta(Exchange& exchange, int, const AnswerDelta& delta, const std::vector<LoggedToken>& tokens) {
  if (!delta.reasoning.empty()) {
    if (reasoning_index_ < 0) {
      reasoning_index_ = n_items_++;
      reasoning_open_ = true;
      open_item(exchange, reasoning_index_, reasoning_item("in_progress", Json::array()), reasoning_part(""));
    }
    reasoning_ += delta.reasoning;
    event(exchange, "response.reasoning_text.delta",
          {{"item_id", reasoning_id_}, {"output_index", reasoning_index_}, {"content_index", 0}, {"delta", delta.reasoning}});
  }
  if (!delta.content.empty() || !delta.calls.empty()) close_reasoning(exchange, "completed");
  if (!delta.content.empty()) {
    if (message_index_ < 0) open_message(exchange);
    event(exchange, "response.output_text.delta",
          {{"item_id", message_id_},
           {"output_index", message_index_},
           {"content_index", 0},
           {"delta", delta.content},
           {"logprobs", logprobs_of(tokens)}});
  }
  for (const ToolCallDelta& call : delta.calls) {
    if (static_cast<size_t>(call.index) >= calls_.size()) {
      calls_.push_back({new_id("fc_"), new_id("call_"), n_items_++});
      event(exchange, "response.output_item.added",
            {{"output_index", calls_.back().output_index}, {"item", call_item(calls_.back(), {call.name, ""}, "in_progress")}});
    }
    if (call.arguments.empty()) continue;
    event(exchange, "response.function_call_arguments.delta",
          {{"item_id", calls_[call.index].id}, {"output_index", calls_[call.index].output_index}, {"delta", call.arguments}});
  }
}

void ResponsesFormat::done(Exchange& exchange, const std::vector<Choice>& choices, const Usage& usage) {
  const Choice& choice = choices[0];
  const Answer& answer = choice.answer;
  const bool complete = choice.finish_reason == "stop" || choice.finish_reason == "tool_calls";
  const char* status = complete ? "completed" : "incomplete";
  if (reasoning_index_ < 0 && !answer.reasoning.empty()) reasoning_index_ = n_items_++;
  close_reasoning(exchange, status);
  // An answer without any text is an empty message.
  if (message_index_ < 0 && (!answer.content.empty() || (answer.calls.empty() && answer.reasoning.empty()))) {
    if (streaming_) {
      open_message(exchange);
    } else {
      message_index_ = n_items_++;
    }
  }
  while (calls_.size() < answer.calls.size()) calls_.push_back({new_id("fc_"), new_id("call_"), n_items_++});

  Json output = Json::array();
  for (int i = 0; i < n_items_; ++i) output.push_back(nullptr);
  if (reasoning_index_ >= 0) {
    output[reasoning_index_] = reasoning_item("completed", Json::array({reasoning_part(answer.reasoning)}));
  }
  if (message_index_ >= 0) {
    output[message_index_] = message_item(status, Json::array({text_part(answer.content, logprobs_of(choice.tokens))}));
    if (streaming_) close_item(exchange, message_index_, "response.output_text.done", output[message_index_]);
  }
  for (size_t i = 0; i < answer.calls.size(); ++i) {
    const CallItem& item = calls_[i];
    output[item.output_index] = call_item(item, answer.calls[i], status);
    if (!streaming_) continue;
    event(exchange, "response.function_call_arguments.done",
          {{"item_id", item.id},
           {"output_index", item.output_index},
           {"name", answer.calls[i].name},
           {"arguments", answer.calls[i].arguments}});
    event(exchange, "response.output_item.done", {{"output_index", item.output_index}, {"item", output[item.output_index]}});
  }
  Json counts = {{"input_tokens", usage.prompt_tokens},
                 {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
                 {"output_tokens", usage.output_tokens},
                 {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
                 {"total_tokens", usage.prompt_tokens + usage.output_tokens}};
  Json whole = response(status, std::move(output), std::move(counts));
  if (!complete) {
    const bool length = choice.finish_reason == "length";
    whole["incomplete_details"] = {{"reason", length ? "max_output_tokens" : choice.finish_reason.c_str()}};
  }
  if (echo_.store && store_) keep(whole, answer);
  if (streaming_) {
    event(exchange, complete ? "response.completed" : "response.incomplete", {{"response", whole}});
  } else {
    exchange.respond(200, "application/json", dump(whole));
  }
}

void ResponsesFormat::stream_error(Exchange& exchange, const std::string& json) {
  const Json error = Json::parse(json)["error"];
  Json failed = response("failed", Json::array(), nullptr);
  failed["error"] = {{"code", "server_error"}, {"message", error["message"]}};
  event(exchange, "response.failed", {{"response", std::move(failed)}});
}

Json ResponsesFormat::response(const char* status, Json output, Json usage) const {
  return {{"id", id_},
          {"object", "response"},
          {"created_at", created_},
          {"status", status},
          {"background", false},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"instructions", echo_.instructions},
          {"max_output_tokens", echo_.max_output_tokens},
          {"max_tool_calls", echo_.max_tool_calls},
          {"model", backend_->info().id},
          {"output", std::move(output)},
          {"parallel_tool_calls", echo_.parallel_tool_calls},
          {"previous_response_id", echo_.previous_response_id},
          {"reasoning", echo_.reasoning},
          {"store", echo_.store},
          {"temperature", echo_.temperature},
          {"text", {{"format", echo_.text_format}}},
          {"tool_choice", echo_.tool_choice},
          {"tools", echo_.tools},
          {"top_logprobs", echo_.top_logprobs},
          {"top_p", echo_.top_p},
          {"truncation", "disabled"},
          {"usage", std::move(usage)},
          {"user", echo_.user},
          {"metadata", echo_.metadata}};
}

Json ResponsesFormat::message_item(const char* status, Json content) const {
  return {{"id", message_id_},
          {"type", "message"},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

Json ResponsesFormat::reasoning_item(const char* status, Json content) const {
  return {{"id", reasoning_id_},
          {"type", "reasoning"},
          {"status", status},
          {"summary", Json::array()},
          {"content", std::move(content)}};
}

Json ResponsesFormat::call_item(const CallItem& item, const ToolCall& call, const char* status) {
  return {{"id", item.id},           {"type", "function_call"}, {"status", status},
          {"call_id", item.call_id}, {"name", call.name},       {"arguments", call.arguments}};
}

Json ResponsesFormat::logprobs_of(const std::vector<LoggedToken>& tokens) const {
  return logprobs_ ? chat_logprobs(tokens, backend_->tokenizer())["content"] : Json::array();
}

void ResponsesFormat::event(Exchange& exchange, const char* type, Json fields) {
  Json json = {{"type", type}, {"sequence_number", sequence_++}};
  json.update(fields);
  send_event(exchange, dump(json), type);
}

void ResponsesFormat::open_item(Exchange& exchange, int output_index, Json item, Json part) {
  const Json id = item["id"];
  event(exchange, "response.output_item.added", {{"output_index", output_index}, {"item", std::move(item)}});
  event(exchange, "response.content_part.added",
        {{"item_id", id}, {"output_index", output_index}, {"content_index", 0}, {"part", std::move(part)}});
}

void ResponsesFormat::close_item(Exchange& exchange, int output_index, const char* text_done, Json item) {
  const Json place = {{"item_id", item["id"]}, {"output_index", output_index}, {"content_index", 0}};
  const Json& part = item["content"][0];
  Json text = place;
  text["text"] = part["text"];
  if (part.contains("logprobs")) text["logprobs"] = part["logprobs"];
  event(exchange, text_done, std::move(text));
  Json whole_part = place;
  whole_part["part"] = part;
  event(exchange, "response.content_part.done", std::move(whole_part));
  event(exchange, "response.output_item.done", {{"output_index", output_index}, {"item", std::move(item)}});
}

void ResponsesFormat::open_message(Exchange& exchange) {
  message_index_ = n_items_++;
  open_item(exchange, message_index_, message_item("in_progress", Json::array()), text_part("", Json::array()));
}

void ResponsesFormat::close_reasoning(Exchange& exchange, const char* status) {
  if (!reasoning_open_) return;
  reasoning_open_ = false;
  close_item(exchange, reasoning_index_, "response.reasoning_text.done",
             reasoning_item(status, Json::array({reasoning_part(reasoning_)})));
}

void ResponsesFormat::keep(const Json& whole, const Answer& answer) {
  Json message = {{"role", "assistant"}, {"content", answer.content}};
  if (!answer.reasoning.empty()) message["reasoning_content"] = answer.reasoning;
  for (size_t i = 0; i < answer.calls.size(); ++i) {
    message["tool_calls"].push_back({{"id", calls_[i].call_id},
                                     {"type", "function"},
                                     {"function", {{"name", answer.calls[i].name}, {"arguments", answer.calls[i].arguments}}}});
  }
  messages_.push_back(std::move(message));
  // A full disk must not take the answer away from the client.
  (void)store_->put(id_, {dump(whole), dump(messages_)}).ok();
}

}  // namespace callie::serve
