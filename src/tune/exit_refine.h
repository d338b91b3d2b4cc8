#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/context.h"
#include "core/status.h"
#include "engine/exit_heads.h"
#include "tune/exit_features.h"

namespace callie::tune {

struct ExitRefineOptions {
  int64_t positions = 0;  ///< to learn from, drawn with repetition; 0 = none
  int rank = 32;
  int batch = 32;
  int best = 8;           ///< candidates of each position: its best tokens, ...
  int others = 64;        ///< and so many others of the part, drawn anew for each batch
  double learning_rate = 3e-4;
};

/// Second stage of an exit's training: a correction of low rank, map + V U, by AdamW on the cross entropy of the tokens
/// that the whole model chooses, over the exit's own best tokens and some others (the softmax of the whole part would
/// cost more and says hardly more). `weights` are those of heads.heads()[exit]. Saved to `state_path` now and then and
/// continued from there, bit for bit. Errors: kCancelled, those of the file.
Status refine_exit(const ExitHeads& heads, int exit, const ExitFeatures& features, std::span<const int64_t> rows,
                   const ExitRefineOptions& options, const std::string& state_path, const Context& context,
                   ExitWeights& weights);

}  // namespace callie::tune
