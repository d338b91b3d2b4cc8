#pragma once

#include <functional>
#include <span>

#include "decode/edge_cloud/outcome.h"

namespace callie::edge_cloud {

/// Classical speculative sampling (Leviathan, Kalman, Matias: arXiv 2211.17192; Chen et al.: arXiv 2302.01318). The
/// emitted tokens, draft[0..accepted) and next, follow the target's law whatever the draft's was. For drafts whose law is
/// known in one process; on the wire both sides share the noise instead (docs/edge-cloud.md), and q never travels.
///
///   draft    [g] tokens, token i drawn from q row i
///   q        [g, vocab] the draft's probabilities
///   p        [g + 1, vocab] the target's; rows after the first rejection are not read
///   uniform  independent numbers in [0, 1)
Outcome reject_and_resample(std::span<const TokenId> draft, std::span<const float> q, std::span<const float> p, int vocab,
                            const std::function<double()>& uniform);

}  // namespace callie::edge_cloud
