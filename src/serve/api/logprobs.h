#pragma once

#include <vector>

#include "core/json.h"
#include "serve/api/job.h"

namespace callie {
class Tokenizer;
}

namespace callie::serve {

/// {"content": [{token, logprob, bytes, top_logprobs}], "refusal": null}, as chat completions want it.
Json chat_logprobs(const std::vector<LoggedToken>& tokens, const Tokenizer& tokenizer);

/// {tokens, token_logprobs, top_logprobs, text_offset}, as completions want it. `offset` is the place of the first token in
/// the answer, in characters, and afterwards that of the token that follows.
Json completion_logprobs(const std::vector<LoggedToken>& tokens, const Tokenizer& tokenizer, size_t* offset);

}  // namespace callie::serve
