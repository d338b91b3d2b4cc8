#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "tokenizer/tokenizer.h"

namespace callie {

/// One line of a file of prompts.
struct FilePrompt {
  std::string prompt;
  std::string answer;  ///< `canonical_solution` or `answer`; may be empty
  bool raw = false;    ///< from a `prompt` field: not through the chat template
  int64_t number = -1; ///< the number at the end of `task_id` ("HumanEval/12"); -1 without one

  /// Errors: those of prompt_tokens().
  StatusOr<std::vector<int32_t>> tokens(const Tokenizer& tokenizer) const;
};

/// A whole file, unpacked when it is gzipped. Errors: kNotFound, kDataLoss; the message begins with `flag`.
StatusOr<std::string> read_maybe_gzipped(const std::string& flag, const std::string& path);

/// JSON lines with `prompt` (raw), `turns` (the first) or `question`; may be gzipped. Errors: kNotFound, kDataLoss
/// ("PATH:LINE: problem").
StatusOr<std::vector<FilePrompt>> read_prompt_file(const std::string& flag, const std::string& path);

}  // namespace callie
