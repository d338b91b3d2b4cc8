#pragma once

#include <memory>

#include "engine/token_mask.h"
#include "serve/metrics.h"

namespace callie::serve {

/// A mask whose time for each token (filling it and moving on) goes to `metrics`, which must outlive it.
std::unique_ptr<TokenMask> timed(std::unique_ptr<TokenMask> mask, Metrics& metrics);

}  // namespace callie::serve
