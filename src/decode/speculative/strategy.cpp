#include "decode/speculative/strategy.h"

#include <algorithm>
#include <chrono>

namespace callie::decode {

StatusOr<int32_t> SpeculativeStrategy::choose(std::span<const float> logits) {
  if (hash_) hash_->add(logits);
  CALLIE_ASSIGN_OR_RETURN(const int32_t token, sampler_.choose(logits));
  CALLIE_RETURN_IF_ERROR(sampler_.accept(token));
  tokens_.push_back(token);
  return token;
}

StatusOr<int32_t> SpeculativeStrategy::begin(std::span<const int32_t> prompt) {
  CALLIE_ASSIGN_OR_RETURN(const auto logits,
                          session_.append(prompt.subspan(session_.size()), Session::Logits::kLast));
  tokens_.assign(prompt.begin(), prompt.end());
  next_row_ = -1;
  speculator_.restart(kSequence);
  return choose(logits);
}

Status SpeculativeStrategy::run_pass(int64_t max_tokens) {
  Speculator::Request request;
  request.sequence = kSequence;
  request.tokens = tokens_;
  request.sampler = &sampler_;
  request.most = std::min({max_tokens - 1, session_.context() - session_.size() - 1, session_.runner().max_rows() - 1});
  speculator_.propose({&request, 1});
  draft_ = std::move(request.draft);

  pass_begin_ = session_.size();
  const size_t committed = tokens_.size();
  tokens_.insert(tokens_.end(), draft_.begin(), draft_.end());
  const auto start = std::chrono::steady_clock::now();
  const auto logits = session_.append(std::span(tokens_).subspan(committed - 1), Session::Logits::kAll);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  tokens_.resize(committed);
  CALLIE_RETURN_IF_ERROR(logits.status());
  logits_ = *logits;
  next_row_ = 0;
  speculator_.passed(1 + static_cast<int64_t>(draft_.size()), seconds);
  ++counts_.passes;
  counts_.drafted += static_cast<int64_t>(draft_.size());
  return ok_status();
}

StatusOr<std::span<const int32_t>> SpeculativeStrategy::step(int64_t max_tokens) {
  if (next_row_ < 0) CALLIE_RETURN_IF_ERROR(run_pass(max_tokens));
  const int64_t row = next_row_, vocab_size = session_.runner().vocab_size();
  CALLIE_ASSIGN_OR_RETURN(const int32_t token, choose(logits_.subspan(row * vocab_size, vocab_size)));
  const bool stands = row < static_cast<int64_t>(draft_.size()) && draft_[row] == token;
  counts_.accepted += stands;
  next_row_ = stands ? row + 1 : -1;
  if (!stands) session_.truncate(pass_begin_ + row + 1);
  return std::span<const int32_t>(&tokens_.back(), 1);
}

std::unique_ptr<Strategy> make_strategy(Session& session, Sampler& sampler, LogitsHash* hash, Speculator* speculator) {
  if (speculator) return std::make_unique<SpeculativeStrategy>(session, sampler, hash, *speculator);
  return std::make_unique<PlainStrategy>(session, sampler, hash);
}

}  // namespace callie::decode
