#include "decode/generate.h"

#include <algorithm>
#include <chrono>

#include "decode/answer.h"

namespace callie::decode {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
    case FinishReason::kContext:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "stop";
}

StatusOr<Generation> generate(Session& session, Strategy& strategy, std::span<const int32_t> prompt,
                              const GenerateOptions& options, const OnText& on_text) {
  if (prompt.empty()) return invalid_argument("the prompt has no tokens");
  if (static_cast<int64_t>(prompt.size()) >= session.context()) {
    return resource_exhausted("the prompt has {} tokens and the context only {} (--ctx)", prompt.size(),
                              session.context());
  }
  Generation out;
  out.prompt_tokens = static_cast<int64_t>(prompt.size());
  if (options.max_new < 1) return invalid_argument("-n: {} is not a number of tokens", options.max_new);
  Answer answer(session.model().tokenizer(), options, on_text, out);

  // What the session holds of this prompt already (earlier turns of a chat) is not computed again.
  const auto held = session.tokens();
  const auto common = std::mismatch(held.begin(), held.end(), prompt.begin(), prompt.end()).first - held.begin();
  session.truncate(std::min<int64_t>(common, out.prompt_tokens - 1));

  const Clock::time_point start = Clock::now();
  CALLIE_ASSIGN_OR_RETURN(const int32_t first, strategy.begin(prompt));
  const Clock::time_point first_token = Clock::now();
  out.prompt_s = std::chrono::duration<double>(first_token - start).count();

  bool going = answer.add(first);
  while (going) {
    const auto generated = static_cast<int64_t>(out.token_ids.size());
    const int64_t room = session.context() - out.prompt_tokens - generated;
    if (room < 0) {
      going = answer.end(FinishReason::kContext);
      break;
    }
    const int64_t most = std::min(options.max_new - generated, room + 1);
    CALLIE_ASSIGN_OR_RETURN(const auto tokens, strategy.step(std::max<int64_t>(1, most)));
    for (size_t i = 0; going && i < tokens.size(); ++i) going = answer.add(tokens[i]);
  }
  out.decode_s = seconds_since(first_token);
  // Drafts behind the last token are no part of the text.
  session.truncate(std::min(session.size(), out.prompt_tokens + static_cast<int64_t>(out.token_ids.size()) - 1));
  answer.finish();
  return out;
}

}  // namespace callie::decode
