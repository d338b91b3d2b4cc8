#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/model.h"

namespace callie::tune {

/// A text to learn exits from: the hidden states of positions `begin` to the end are used.
struct CorpusPiece {
  std::vector<int32_t> tokens;
  int32_t begin = 1;  ///< the first position has nothing before it and is never used
};

struct ExitCorpusOptions {
  std::vector<std::string> files;  ///< .txt, or JSON lines of prompts (tasks/prompt_file.h); may be gzipped
  int parity = -1;                 ///< 0 or 1: of numbered problems only the even or the odd ones; -1 = all
  int64_t tokens = 200'000;        ///< positions to use at most, spread over the files; 0 = only the continuations
  int continued = 48;              ///< prompts of each file that the model itself continues
  int continue_tokens = 128;
  int piece = 512;                 ///< tokens of a piece at most
};

/// Continuations by the model itself (greedy) and texts, mixed in an order of their own. Continuations are kept in
/// `state_path`, so that a second call goes on where the first one stopped. Errors: those of the files; kCancelled.
StatusOr<std::vector<CorpusPiece>> read_exit_corpus(std::shared_ptr<const Model> model, const ExitCorpusOptions& options,
                                                    const std::string& state_path, ThreadPool& pool);

}  // namespace callie::tune
