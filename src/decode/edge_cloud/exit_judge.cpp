#include "decode/edge_cloud/exit_judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/vector_ops.h"

namespace callie::edge_cloud {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr double kLearningRate = 0.01;

}  // namespace

ExitJudge::ExitJudge(std::shared_ptr<const ExitHeads> heads) : heads_(std::move(heads)), places_(heads_->head().places()) {
  const Model& model = heads_->model();
  full_.assign(model.spec().vocab_size, kNone);
  row_.resize(model.spec().hidden_size);
}

float ExitJudge::logit_of(TokenId token, std::span<const float> mapped) {
  int64_t row = token;
  for (const tensor::PackedMatrix& part : heads_->model().decoder().weights().head.parts) {
    if (row < part.rows()) {
      part.unpack_row(row, row_.data());
      return kernels::dot(row_.data(), mapped.data(), static_cast<int64_t>(row_.size()));
    }
    row -= part.rows();
  }
  return kNone;
}

StatusOr<ExitJudge::Guess> ExitJudge::judge(int exit, const nn::ExitRows& rows, int64_t first,
                                            std::span<const TokenId> draft, Sampler sampler,
                                            const std::function<bool(TokenId)>& ends) {
  const float temperature = heads_->heads()[exit].temperature;
  const auto width = static_cast<int64_t>(rows.logits.size()) / rows.rows;
  const auto hidden = static_cast<int64_t>(rows.mapped.size()) / rows.rows;
  const auto bonus = static_cast<float>(std::log(accepted_ / (1 - accepted_)));
  Guess guess;
  guess.confidence = 1;
  Status status;
  const auto choose = [&](int i) -> TokenId {
    const auto logits = rows.logits.subspan((first + i) * width, width);
    heads_->head().spread(logits, full_);
    scaled_.assign(logits.begin(), logits.end());
    kernels::scale(scaled_.data(), width, 1 / temperature);
    int64_t drafted = -1;
    if (i < static_cast<int>(draft.size())) {
      drafted = places_[draft[i]];
      if (drafted < 0) {
        full_[draft[i]] = logit_of(draft[i], rows.mapped.subspan((first + i) * hidden, hidden));
        drafted = width;
        scaled_.push_back(full_[draft[i]] / temperature);
      }
      full_[draft[i]] += bonus * temperature;
      scaled_[drafted] += bonus;
    }
    const auto token = sampler.choose(full_);
    status = token.status();
    if (status.ok()) {
      const int64_t place = drafted >= 0 && *token == draft[i] ? drafted : places_[*token];
      const float whole = kernels::log_sum_exp(scaled_.data(), static_cast<int64_t>(scaled_.size()));
      guess.confidence = std::min(guess.confidence, place < 0 ? 0.0f : std::exp(scaled_[place] - whole));
      status = sampler.accept(*token);
    }
    if (drafted == width) full_[draft[i]] = kNone;
    return status.ok() ? *token : -1;
  };
  guess.outcome = accept(draft, choose, [&](TokenId token) { return !status.ok() || ends(token); });
  CALLIE_RETURN_IF_ERROR(status);
  return guess;
}

void ExitJudge::learn(int drafted, int accepted) {
  for (int i = 0; i < drafted && i <= accepted; ++i) accepted_ += ((i < accepted) - accepted_) * kLearningRate;
  accepted_ = std::clamp(accepted_, 0.5, 0.98);
}

}  // namespace callie::edge_cloud
