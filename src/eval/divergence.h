#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/status.h"
#include "engine/session.h"

namespace callie::eval {

struct Divergence {
  double mean_kl = 0;  ///< nats, KL(reference || measured)
  double max_kl = 0;
  double p99_kl = 0;
  double same_top1 = 0;  ///< share of positions with the same most likely token
  int64_t tokens = 0;
};

/// Kullback-Leibler divergence between the next-token distributions of two sessions over the same teacher-forced text,
/// in windows of the sessions' context. Errors: kInvalidArgument (a text shorter than two tokens, other vocabularies),
/// kCancelled on Ctrl-C.
StatusOr<Divergence> divergence(Session& reference, Session& measured, std::span<const int32_t> tokens, int64_t window,
                                const std::function<void(int64_t done)>& on_tokens = {});

/// KL(p || q) of softmax(reference) and softmax(measured), in f64.
double kl_divergence(std::span<const float> reference, std::span<const float> measured);

}  // namespace callie::eval
