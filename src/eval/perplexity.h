#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/status.h"
#include "engine/session.h"

namespace callie::eval {

struct Perplexity {
  double ppl = 0;
  double nll = 0;       ///< mean negative log-likelihood of a scored token, natural log
  double stderr_ = 0;   ///< standard error of ppl
  int64_t tokens = 0;   ///< scored tokens
  int64_t windows = 0;
};

/// Perplexity in llama.cpp's convention: the text is cut into windows of `context` tokens that do not overlap; the second
/// half of each window is scored; where the vocabulary adds a BOS, it replaces the first token of every window.
/// Errors: kInvalidArgument when the text is shorter than two windows; kCancelled on Ctrl-C.
StatusOr<Perplexity> perplexity(Session& session, std::span<const int32_t> tokens, int64_t context,
                                const std::function<void(int64_t windows)>& on_window = {});

/// log p(token) under softmax(logits), in f64.
double log_probability(std::span<const float> logits, int32_t token);

}  // namespace callie::eval
