#include "chat/tool_calls.h"

#include <algorithm>

#include "chat/tool_formats.h"

namespace callie {
namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";
constexpr std::string_view kHermesOpen = "<tool_call>", kHermesClose = "</tool_call>";

struct Marks {
  std::string_view open, close;  // no close: the block goes on to the end of the text
};

Marks marks_of(ToolFormat format) {
  switch (format) {
    case ToolFormat::kHermes:
    case ToolFormat::kQwenXml:
      return {kHermesOpen, kHermesClose};
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

constexpr std::string_view kFence = "```", kSpace = " \t\r\n";

/// The size of a Markdown fence with a JSON object behind it, 0 where `text` begins otherwise, nothing where it is too
/// short to tell.
std::optional<size_t> json_fence(std::string_view text) {
  for (const std::string_view open : {"```json", "```"}) {
    if (text.size() < open.size() && open.starts_with(text)) return std::nullopt;
    if (!text.starts_with(open)) continue;
    const size_t object = text.find_first_not_of(kSpace, open.size());
    if (object == std::string_view::npos) return std::nullopt;
    if (text[object] == '{') return object;
  }
  return 0;
}

}  // namespace

struct AnswerParser::Impl {
  enum class State { kStart, kReasoning, kContent, kBlock, kArguments, kBlockEnd };
  Options options;
  Marks marks;
  State state = State::kStart;
  std::string held;
  bool between = false;           // whitespace that comes now only separates the parts of the answer
  std::string block_open;         // what the block began with
  std::string_view block_close;   // what ends it; empty = the end of the text
  bool bare = false;              // the block began without a mark of the format
  int calls = 0;
  int depth = 0;                  // of brackets in the arguments that are being shown, like the next two
  bool quoted = false, escaped = false;

  void begin_block(size_t size_of_open, std::string_view close, bool without_mark) {
    block_open = held.substr(0, size_of_open);
    block_close = close;
    bare = without_mark;
    held.erase(0, size_of_open);
    state = State::kBlock;
  }

  /// False when the block is no call and went to the content.
  bool put_block(std::string_view block, std::string_view whole, AnswerDelta& out) {
    const auto found = read_calls(options.format, block);
    const auto offered = [this](const ToolCall& call) {
      return options.tools.empty() || std::find(options.tools.begin(), options.tools.end(), call.name) != options.tools.end();
    };
    if (!found || (bare && !std::all_of(found->begin(), found->end(), offered))) {
      out.content += whole;
      return false;
    }
    for (const ToolCall& call : *found) {
      if (calls == 0 || options.parallel) out.calls.push_back({calls++, call.name, call.arguments});
    }
    return true;
  }

  /// What has come of the arguments' object, out of `held`. True when it is complete.
  bool take_arguments(std::string* part);
  /// Takes one step; false when more text is needed.
  bool step(AnswerDelta& out, bool last);
};

bool AnswerParser::Impl::take_arguments(std::string* part) {
  bool complete = false;
  size_t size = 0;
  for (; size < held.size() && !complete; ++size) {
    const char c = held[size];
    if (quoted) {
      quoted = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      complete = --depth == 0;
    } else if (c == kHermesClose.front()) {  // never outside of strings: the object is broken off
      complete = true;
      break;
    }
  }
  *part = held.substr(0, size);
  held.erase(0, size);
  return complete;
}

bool AnswerParser::Impl::step(AnswerDelta& out, bool last) {
  switch (state) {
    case State::kStart: {
      // What the first characters are decides: reasoning, a bare JSON call, or content.
      const size_t first = held.find_first_not_of(kSpace);
      if (options.reasoning && options.starts_in_reasoning) {
        state = State::kReasoning;
        return true;
      }
      if (first == std::string::npos) {
        if (!last) return false;
        if (between) held.clear();
        state = State::kContent;
        return !held.empty();
      }
      const std::string_view rest = std::string_view(held).substr(first);
      if (options.reasoning && rest.starts_with(kThink)) {
        held.erase(0, first + kThink.size());
        state = State::kReasoning;
        return true;
      }
      if (options.reasoning && !last && kThink.starts_with(rest)) return false;
      const bool json = options.format == ToolFormat::kLlama3Json || options.format == ToolFormat::kHermes;
      const std::optional<size_t> fence = json ? json_fence(rest) : 0;
      if (!fence && !last) return false;
      if (between) held.erase(0, first);
      const size_t space = between ? 0 : first;
      if (json && held[space] == '{') {
        begin_block(0, "", true);
      } else if (fence.value_or(0) > 0) {
        begin_block(space + *fence, kFence, true);
      } else {
        state = State::kContent;
      }
      return true;
    }
    case State::kReasoning: {
      const size_t end = held.find(kThinkEnd);
      if (end != std::string::npos) {
        out.reasoning += held.substr(0, end);
        held.erase(0, end + kThinkEnd.size());
        options.starts_in_reasoning = options.reasoning = false;
        between = true;
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
        held.erase(0, begin);
        begin_block(marks.open.size(), marks.close, false);
        return true;
      }
      const size_t keep = last ? 0 : partial(held, marks.open);
      out.content += held.substr(0, held.size() - keep);
      held.erase(0, held.size() - keep);
      return false;
    }
    case State::kBlock: {
      const bool hidden = calls > 0 && !options.parallel;
      if (const auto head = read_call_head(held); head && options.format == ToolFormat::kHermes && !bare && !hidden) {
        out.calls.push_back({calls++, head->name, ""});
        held.erase(0, head->size);
        depth = 0;
        quoted = escaped = false;
        state = State::kArguments;
        return true;
      }
      const size_t end = block_close.empty() ? std::string::npos : held.find(block_close);
      if (end == std::string::npos && !last) return false;
      const size_t size = std::min(end, held.size());
      const std::string block = held.substr(0, size);
      const std::string_view close = end == std::string::npos ? "" : block_close;
      held.erase(0, size + close.size());
      between = put_block(block, block_open + block + std::string(close), out);
      state = between ? State::kStart : State::kContent;
      return !held.empty();
    }
    case State::kArguments: {
      std::string part;
      const bool complete = take_arguments(&part);
      if (!part.empty()) out.calls.push_back({calls - 1, "", std::move(part)});
      if (complete) state = State::kBlockEnd;
      return complete;
    }
    case State::kBlockEnd: {
      const size_t end = held.find(block_close);
      if (end == std::string::npos && !last) return false;
      held.erase(0, end == std::string::npos ? held.size() : end + block_close.size());
      between = true;
      state = State::kStart;
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
    for (const ToolCallDelta& call : delta.calls) {
      if (static_cast<size_t>(call.index) == answer.calls.size()) answer.calls.emplace_back();
      answer.calls[call.index].name += call.name;
      answer.calls[call.index].arguments += call.arguments;
    }
  }
  return answer;
}

}  // namespace callie
