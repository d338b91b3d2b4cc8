#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model.h"
#include "nn/linear.h"

namespace callie {

/// A part of a model's head: the most frequent tokens, the control tokens, and those that have come up in the text.
/// Byte-pair vocabularies are in the order of their merges, so the frequent tokens are the first ids; whole panels of
/// rows are used where they lie, without a copy. Drafts and early exits that leave rare tokens
/// out stay lossless and read less.
class PartialHead {
 public:
  /// `rows`: the first so many ids; 0 or as many as the vocabulary = the whole head.
  PartialHead(std::shared_ptr<const Model> model, int64_t rows);

  /// Null for the whole head.
  const nn::Linear* linear() const { return whole_ ? nullptr : &linear_; }
  int64_t rows() const { return whole_ ? model_->spec().vocab_size : linear_.rows(); }

  /// These tokens are in from now on.
  void add(std::span<const int32_t> tokens);

  /// The token of each row, ascending. [rows()]
  std::vector<int32_t> tokens() const;
  /// The row of each token, or -1. [vocabulary]
  std::vector<int64_t> places() const;

  /// Puts a row of the head's logits into `full` at their tokens' places; all other places must hold -infinity, and the
  /// places of tokens at or over full.size() are left out.
  void spread(std::span<const float> logits, std::span<float> full) const;

 private:
  void rebuild();

  std::shared_ptr<const Model> model_;
  bool whole_ = true;
  std::vector<uint8_t> panels_;  // 1 = in use
  struct Run {
    int64_t first_row, n_rows;
  };
  std::vector<Run> runs_;
  nn::Linear linear_;
};

}  // namespace callie
