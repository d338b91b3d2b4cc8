#pragma once

#include <string>

#include "core/interrupt.h"
#include "decode/generate.h"
#include "tokenizer/streaming.h"
#include "tokenizer/tokenizer.h"

namespace callie::decode {

/// Takes an answer's tokens one by one, shows the text that is certain, and decides when the answer ends.
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

}  // namespace callie::decode
