#include "decode/edge_cloud/model_draft.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace callie::edge_cloud {

ModelDraft::ModelDraft(std::shared_ptr<const Model> model, std::unique_ptr<Session> session, Sampler sampler,
                       int first_new, int64_t head_rows)
    : session_(std::move(session)),
      head_(model, head_rows),
      fresh_(std::move(sampler)),
      sampler_(fresh_),
      first_new_(first_new),
      full_(std::min<int64_t>(model->spec().vocab_size, model->tokenizer().vocab_size()), -std::numeric_limits<float>::infinity()) {}

void ModelDraft::truncate(int length) {
  tokens_.resize(length);
  if (length < session_->size()) session_->truncate(length);
}

// The sampler's state after the generated tokens that were fed.
void ModelDraft::position_sampler() {
  const int generated = length() - first_new_;
  if (generated < sampler_.position()) sampler_ = fresh_;
  // A guess that the constraint does not allow is behind its end, and so is everything after it.
  while (sampler_.position() < generated) {
    if (!sampler_.accept(tokens_[first_new_ + sampler_.position()]).ok()) return;
  }
}

Guess ModelDraft::extend(std::span<const TokenId> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  head_.add(tokens);
  const auto missing = std::span(tokens_).subspan(session_->size());
  if (session_->size() + static_cast<int64_t>(missing.size()) > session_->context()) return {tokens_.back(), tokens_.back(), 0};
  nn::Taps taps;
  taps.head = head_.linear();
  const auto logits = session_->append(missing, Session::Logits::kLast, &taps);
  if (!logits.ok()) return {tokens_.back(), tokens_.back(), 0};
  if (length() < first_new_) return {};
  head_.spread(*logits, full_);
  position_sampler();
  Guess guess;
  float margin = 0;
  const auto token = sampler_.choose(full_, &margin);
  if (!token.ok()) return {tokens_.back(), tokens_.back(), 0};
  guess.token = guess.second = *token;
  guess.probability = 1 / (1 + std::exp(-margin));
  const float best = std::exchange(full_[*token], -std::numeric_limits<float>::infinity());
  const auto second = sampler_.choose(full_);
  if (second.ok()) guess.second = *second;
  full_[*token] = best;
  return guess;
}

}  // namespace callie::edge_cloud
