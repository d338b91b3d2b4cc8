#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "tokenizer/tokenizer.h"

namespace callie {

/// A prompt's tokens: through the model's chat template (`system` may be empty), or as it is when `raw` or when the
/// model has none. Errors: those of the template and the tokenizer.
StatusOr<std::vector<int32_t>> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt,
                                             const std::string& system, bool raw);

}  // namespace callie
