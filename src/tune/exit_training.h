#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "engine/exit_heads.h"
#include "tune/exit_features.h"
#include "tune/exit_refine.h"

namespace callie::tune {

/// How well an exit does on positions of a corpus.
struct ExitScore {
  int layer = 0;
  int64_t rows = 0;
  double agreement = 0;    ///< its best token is the one the whole model chooses
  double confidence = 0;   ///< mean probability of its best token
  double calibration = 0;  ///< expected calibration error, 10 bins of equal width
  double coverage = 0;     ///< the model's token is in the part of the head
};

/// Scores every exit of `heads`, whose layers are those of `features`, on the given rows.
StatusOr<std::vector<ExitScore>> score_exits(const ExitHeads& heads, const ExitFeatures& features,
                                             std::span<const int64_t> rows, const Context& context);

/// The temperature with the least cross entropy of the model's tokens on `rows`, from a grid of 0.3 to 5.
StatusOr<float> fit_temperature(const ExitHeads& heads, int exit, const ExitFeatures& features,
                                std::span<const int64_t> rows, const Context& context);

struct ExitFitOptions {
  int64_t head_rows = 8192;     ///< tokens of an exit's head: the panels of the model's that hold most of the corpus
  double ridge = 1e-3;
  ExitRefineOptions refine;     ///< the second stage
};

/// Exits fitted to features: the closed-form map from the residual stream to what the head reads, then refine_exit(),
/// whose result stands where it agrees more. One piece in twenty is left out; temperatures are fitted and stages
/// compared on those. `state_path` is where the second stage keeps its state. Errors: those of Ridge; kCancelled.
StatusOr<ExitFile> fit_exits(std::shared_ptr<const Model> model, const ExitFeatures& features,
                             const ExitFitOptions& options, const std::string& state_path, const Context& context);

/// The logit lens as exits: the model's own norm and head after each layer, nothing trained.
ExitFile untrained_exits(const Model& model, const ExitFile& like);

/// Positions of pieces that fit_exits() learns from (`held_out` false) or leaves out.
std::vector<int64_t> rows_of(const ExitFeatures& features, bool held_out);

}  // namespace callie::tune
