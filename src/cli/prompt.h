#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "chat/prompt_tokens.h"

namespace callie::cli {

/// What verbs that answer one prompt are asked: run, edge.
struct PromptOptions {
  std::string prompt, system;
  int64_t n = 1024;

  void add_to(CLI::App& verb);
};

}  // namespace callie::cli
