#pragma once

#include <memory>
#include <vector>

#include "decode/edge_cloud/draft_model.h"
#include "engine/partial_head.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace callie::edge_cloud {

/// The small model behind the client. Its guess is what the target's sampler, with the state of that position, would
/// choose from the small model's logits.
class ModelDraft : public DraftModel {
 public:
  /// `sampler`: as it is before the first token. `first_new`: length of the prompt, where generation position 0 stands. `head_rows` as in PartialHead.
  /// The session must be empty; one too small for the sequence guesses nothing useful beyond its context.
  ModelDraft(std::shared_ptr<const Model> model, std::unique_ptr<Session> session, Sampler sampler, int first_new,
             int64_t head_rows);

  int length() const override { return static_cast<int>(tokens_.size()); }
  void truncate(int length) override;
  Guess extend(std::span<const TokenId> tokens) override;

 private:
  void position_sampler();

  std::unique_ptr<Session> session_;
  PartialHead head_;
  const Sampler fresh_;
  Sampler sampler_;
  int first_new_;
  std::vector<TokenId> tokens_;
  std::vector<float> full_;  // [effective vocabulary]; -infinity where the head has no row
};

}  // namespace callie::edge_cloud
