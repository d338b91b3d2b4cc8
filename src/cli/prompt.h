#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "tokenizer/tokenizer.h"

namespace callie::cli {

/// What verbs that answer one prompt are asked: run, edge.
struct PromptOptions {
  std::string prompt, system;
  int64_t n = 1024;

  void add_to(CLI::App& verb);
};

/// A prompt's tokens: through the model's chat template (`system` may be empty), or as it is when `raw` or when the
/// model has none. Errors: those of the template and the tokenizer.
StatusOr<std::vector<int32_t>> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt,
                                             const std::string& system, bool raw);

}  // namespace callie::cli
