#include <algorithm>
#include <cstdlib>

#include "chat/tool_calls.h"

/// A model's answer: however its text is cut into pieces, the parts that come out are the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace callie;
  if (size < 2) return 0;
  const AnswerParser::Options options = {.format = static_cast<ToolFormat>(data[0] % 6),
                                         .reasoning = (data[0] & 8) != 0,
                                         .starts_in_reasoning = (data[0] & 16) != 0,
                                         .parallel = (data[0] & 32) == 0};
  const size_t step = 1 + data[1] % 7;
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const Answer whole = parse_answer(text, options);

  AnswerParser parser(options);
  Answer pieces;
  const auto take = [&pieces](const AnswerDelta& delta) {
    pieces.reasoning += delta.reasoning;
    pieces.content += delta.content;
    for (const ToolCallDelta& call : delta.calls) {
      if (static_cast<size_t>(call.index) >= pieces.calls.size()) pieces.calls.resize(call.index + 1);
      pieces.calls[call.index].name += call.name;
      pieces.calls[call.index].arguments += call.arguments;
    }
  };
  for (size_t at = 0; at < text.size(); at += step) take(parser.add(text.substr(at, step)));
  take(parser.finish());
  const bool same = whole.reasoning == pieces.reasoning && whole.content == pieces.content &&
                    whole.calls.size() == pieces.calls.size() &&
                    std::equal(whole.calls.begin(), whole.calls.end(), pieces.calls.begin(),
                               [](const ToolCall& a, const ToolCall& b) { return a.name == b.name && a.arguments == b.arguments; });
  if (!same) std::abort();
  return 0;
}
