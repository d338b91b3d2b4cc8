#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "decode/strategy.h"

namespace callie::decode {

enum class FinishReason { kStop, kLength, kContext, kCancelled };

/// "stop", "length" (also for a full context, as in the OpenAI API) or "cancelled".
const char* finish_reason_name(FinishReason reason);

struct GenerateOptions {
  int64_t max_new = 1024;          ///< tokens at most
  std::vector<std::string> stops;  ///< text that ends the answer and is not part of it
  bool ignore_eos = false;         ///< goes on after end-of-generation tokens
};

struct Generation {
  std::string text;
  std::vector<int32_t> token_ids;  ///< an end-of-generation token is included
  FinishReason finish_reason = FinishReason::kStop;
  int64_t prompt_tokens = 0;
  double prompt_s = 0;  ///< until the first token is chosen
  double decode_s = 0;  ///< from the first token to the last

  double prompt_tok_s() const { return prompt_s > 0 ? static_cast<double>(prompt_tokens) / prompt_s : 0; }
  double decode_tok_s() const {
    return decode_s > 0 ? static_cast<double>(token_ids.size() - 1) / decode_s : 0;
  }
};

/// Receives text as soon as it is certain to be shown (whole characters, no part of a stop string); false = stop.
using OnText = std::function<bool(std::string_view)>;

/// Generates after `prompt` with `strategy` on `session`. Stops at an end-of-generation token, a stop string, max_new,
/// a full context, Ctrl-C, or when `on_text` says so. Errors: those of Session and Sampler; a prompt that does not fit
/// the context is kResourceExhausted and names both sizes.
StatusOr<Generation> generate(Session& session, Strategy& strategy, std::span<const int32_t> prompt,
                              const GenerateOptions& options, const OnText& on_text = {});

}  // namespace callie::decode
