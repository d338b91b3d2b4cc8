#include "chat/tool_calls.h"

#include <algorithm>

#include "chat/tool_formats.h"

namespace callie {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";

struct Marks {
  std::string_view open, close;  // no close: the block goes on to the end of the text
};

Marks marks_of(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
    case ToolFormat::kQwenXml:
      return {"<tool_call>", "</tool_call>"};
    case ToolFormat::kMistral:
      return {"[TOOL_CALLS]", ""};
    case ToolFormat::kGemma:
      return {"```tool_code", "```"};
    case ToolFormat::kLlama3Json:
      return {"<|python_tag|>", ""};
    case ToolFormat::kNone:
      break;
  }
  return {};
}

/// Bytes at the end of `text` that may be the beginning of `mark`.
size_t partial(std::string_view text, std::string_view mark) {
  if (mark.empty()) return 0;
  for (size_t size = std::min(text.size(), mark.size() - 1); size > 0; --size) {
    if (mark.starts_with(text.substr(text.size() - size))) return size;
  }
  return 0;
}

}  // namespace

struct AnswerParser::Impl {
  enum class State { kStart, kReasoning, kContent, kBlock };
  Options options;
  Marks marks;
  State state = State::kStart;
  std::string held;
  bool bare = false;  // the block began without a mark
  int calls = 0;

  void put_block(std::string_view block, std::string_view whole, AnswerDelta& out) {
    const auto found = read_calls(options.format, block);
    const auto offered = [this](const ToolCall& call) {
      return options.tools.empty() || std::find(options.tools.begin(), options.tools.end(), call.name) != options.tools.end();
    };
    if (!found || (bare && !std::all_of(found->begin(), found->end(), offered))) {
      out.content += whole;
      return;
    }
    for (const ToolCall& call : *found) out.calls.push_back({calls++, call.name, call.arguments});
  }

  /// Takes one step; false when more text is needed.
  bool step(AnswerDelta& out, bool last);
};

bool AnswerParser::Impl::step(AnswerDelta& out, bool last) {
  switch (state) {
    case State::kStart: {
      // What the first characters are decides: reasoning, a bare JSON call, or content.
      const size_t first = held.find_first_not_of(" \t\r\n");
      if (options.reasoning && options.starts_in_reasoning) {
        state = State::kReasoning;
        return true;
      }
      if (first == std::string::npos) {
        if (last) state = State::kContent;
        return last && !held.empty();
      }
      const std::string_view rest = std::string_view(held).substr(first);
      if (options.reasoning && rest.starts_with(kThink)) {
        held.erase(0, first + kThink.size());
        state = State::kReasoning;
        return true;
      }
      if (options.reasoning && !last && kThink.starts_with(rest)) return false;
      const bool json = options.format == ToolFormat::kLlama3Json || options.format == ToolFormat::kHermes;
      if (json && rest.starts_with('{')) {
        bare = true;
        state = State::kBlock;
        return true;
      }
      state = State::kContent;
      return true;
    }
    case State::kReasoning: {
      const size_t end = held.find(kThinkEnd);
      if (end != std::string::npos) {
        out.reasoning += held.substr(0, end);
        held.erase(0, end + kThinkEnd.size());
        options.starts_in_reasoning = options.reasoning = false;
        state = State::kStart;
        return true;
      }
      const size_t keep = last ? 0 : partial(held, kThinkEnd);
      out.reasoning += held.substr(0, held.size() - keep);
      held.erase(0, held.size() - keep);
      return false;
    }
    case State::kContent: {
      const size_t begin = marks.open.empty() ? std::string::npos : held.find(marks.open);
      if (begin != std::string::npos) {
        out.content += held.substr(0, begin);
        held.erase(0, begin + marks.open.size());
        bare = false;
        state = State::kBlock;
        return true;
      }
      const size_t keep = last ? 0 : partial(held, marks.open);
      out.content += held.substr(0, held.size() - keep);
      held.erase(0, held.size() - keep);
      return false;
    }
    case State::kBlock: {
      const size_t end = bare || marks.close.empty() ? std::string::npos : held.find(marks.close);
      if (end == std::string::npos && !last) return false;
      const size_t size = std::min(end, held.size());
      const std::string block = held.substr(0, size);
      const std::string whole = (bare ? "" : std::string(marks.open)) + block +
                                (end == std::string::npos ? "" : std::string(marks.close));
      held.erase(0, end == std::string::npos ? size : size + marks.close.size());
      put_block(block, whole, out);
      state = State::kContent;
      return !held.empty();
    }
  }
  return false;
}

AnswerParser::AnswerParser(const Options& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  impl_->marks = marks_of(options.format);
}
AnswerParser::~AnswerParser() = default;

AnswerDelta AnswerParser::add(std::string_view text) {
  AnswerDelta out;
  impl_->held += text;
  while (impl_->step(out, false)) {
  }
  return out;
}

AnswerDelta AnswerParser::finish() {
  AnswerDelta out;
  while (impl_->step(out, true)) {
  }
  return out;
}

Answer parse_answer(std::string_view text, const AnswerParser::Options& options) {
  AnswerParser parser(options);
  Answer answer;
  for (const AnswerDelta& delta : {parser.add(text), parser.finish()}) {
    answer.reasoning += delta.reasoning;
    answer.content += delta.content;
    for (const ToolCallDelta& call : delta.calls) answer.calls.push_back({call.name, call.arguments});
  }
  return answer;
}

}  // namespace callie
