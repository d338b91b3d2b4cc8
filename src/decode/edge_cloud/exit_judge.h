#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"
#include "decode/edge_cloud/outcome.h"
#include "engine/exit_heads.h"
#include "engine/sampler.h"
#include "nn/taps.h"

namespace callie::edge_cloud {

/// Turns an exit's logits into a provisional outcome: accept() with the target's own sampler, only the logits are
/// another's. A draft token speaks for itself: its logit is raised by the log-odds that drafts have had so far, and one
/// outside the exit's part of the vocabulary gets its own row of the model's head.
class ExitJudge {
 public:
  explicit ExitJudge(std::shared_ptr<const ExitHeads> heads);

  struct Guess {
    Outcome outcome;
    float confidence = 0;  ///< the least calibrated probability among the tokens that decide
  };
  /// The outcome of `draft`, whose first row of logits is rows' row `first` (it has one row more than the draft has
  /// tokens). `sampler` is in the state of that position. Errors: those of the sampler.
  StatusOr<Guess> judge(int exit, const nn::ExitRows& rows, int64_t first, std::span<const TokenId> draft, Sampler sampler,
                        const std::function<bool(TokenId)>& ends);
  /// What became of a draft.
  void learn(int drafted, int accepted);

  const ExitHeads& heads() const { return *heads_; }

 private:
  float logit_of(TokenId token, std::span<const float> mapped);

  std::shared_ptr<const ExitHeads> heads_;
  std::vector<int64_t> places_;  // [vocab] place in the exit's logits, or -1
  std::vector<float> full_, scaled_, row_;
  double accepted_ = 0.85;       // share of judged draft tokens that stood
};

}  // namespace callie::edge_cloud
