#include "decode/strategy.h"

namespace callie::decode {

StatusOr<int32_t> PlainStrategy::choose(std::span<const float> logits) {
  if (hash_) hash_->add(logits);
  CALLIE_ASSIGN_OR_RETURN(last_, sampler_.choose(logits));
  CALLIE_RETURN_IF_ERROR(sampler_.accept(last_));
  return last_;
}

StatusOr<int32_t> PlainStrategy::begin(std::span<const int32_t> prompt) {
  CALLIE_ASSIGN_OR_RETURN(const auto logits,
                          session_.append(prompt.subspan(session_.size()), Session::Logits::kLast));
  return choose(logits);
}

StatusOr<std::span<const int32_t>> PlainStrategy::step(int64_t) {
  CALLIE_ASSIGN_OR_RETURN(const auto logits, session_.append({&last_, 1}, Session::Logits::kLast));
  ++passes_;
  CALLIE_RETURN_IF_ERROR(choose(logits).status());
  return std::span<const int32_t>(&last_, 1);
}

}  // namespace callie::decode
