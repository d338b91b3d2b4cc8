#include "decode/generate.h"

#include <algorithm>
#include <chrono>

#include "core/interrupt.h"
#include "tokenizer/streaming.h"

namespace callie::decode {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Takes tokens one by one and decides when the answer ends.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, const GenerateOptions& options, const OnText& on_text, Generation& out)
      : tokenizer_(tokenizer), options_(options), on_text_(on_text), out_(out), detokenizer_(tokenizer),
        stops_(options.stops) {}

  // False when the answer ends with this token.
  bool add(int32_t token) {
    out_.token_ids.push_back(token);
    if (!options_.ignore_eos && tokenizer_.is_end_of_generation(token)) return end(FinishReason::kStop);
    const StopMatcher::Result result = stops_.add(detokenizer_.add(token));
    if (!show(result.text)) return end(FinishReason::kCancelled);
    if (result.stopped) return end(FinishReason::kStop);
    if (static_cast<int64_t>(out_.token_ids.size()) >= options_.max_new) return end(FinishReason::kLength);
    if (interrupted()) return end(FinishReason::kCancelled);
    return true;
  }

  bool end(FinishReason reason) {
    out_.finish_reason = reason;
    return false;
  }

  void finish() {
    const StopMatcher::Result rest = stops_.add(detokenizer_.finish());
    show(rest.text);
    if (!rest.stopped) show(stops_.finish());
  }

 private:
  bool show(const std::string& text) {
    if (text.empty()) return true;
    out_.text += text;
    return !on_text_ || on_text_(text);
  }

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  const OnText& on_text_;
  Generation& out_;
  StreamingDetokenizer detokenizer_;
  StopMatcher stops_;
};

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
