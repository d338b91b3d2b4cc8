#include "eval/divergence.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/interrupt.h"
#include "kernels/vector_ops.h"

namespace callie::eval {
namespace {

constexpr int64_t kRows = 32;  // logits of two models at a time

double log_sum_exp(std::span<const float> logits) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit} - highest);
  return highest + std::log(sum);
}

}  // namespace

double kl_divergence(std::span<const float> reference, std::span<const float> measured) {
  const double log_p = log_sum_exp(reference), log_q = log_sum_exp(measured);
  double kl = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double p = reference[i] - log_p, q = measured[i] - log_q;
    kl += std::exp(p) * (p - q);
  }
  return kl;
}

StatusOr<Divergence> divergence(Session& reference, Session& measured, std::span<const int32_t> tokens, int64_t window,
                                const std::function<void(int64_t)>& on_tokens) {
  const int64_t vocab_size = reference.runner().vocab_size();
  if (measured.runner().vocab_size() != vocab_size) return invalid_argument("the vocabularies differ");
  if (tokens.size() < 2) return invalid_argument("the text has {} tokens, at least 2 are needed", tokens.size());
  Divergence result;
  std::vector<double> values;
  int64_t same = 0;
  for (int64_t begin = 0; begin < static_cast<int64_t>(tokens.size()); begin += window) {
    const int64_t end = std::min<int64_t>(begin + window, static_cast<int64_t>(tokens.size()));
    reference.truncate(0);
    measured.truncate(0);
    for (int64_t at = begin; at < end; at += kRows) {
      if (interrupted()) return Status(StatusCode::kCancelled, "");
      const auto part = tokens.subspan(at, std::min(kRows, end - at));
      CALLIE_ASSIGN_OR_RETURN(const auto p, reference.append(part, Session::Logits::kAll));
      CALLIE_ASSIGN_OR_RETURN(const auto q, measured.append(part, Session::Logits::kAll));
      for (size_t i = 0; i < part.size(); ++i) {
        const auto row_p = p.subspan(i * vocab_size, vocab_size), row_q = q.subspan(i * vocab_size, vocab_size);
        values.push_back(kl_divergence(row_p, row_q));
        same += kernels::argmax(row_p.data(), vocab_size) == kernels::argmax(row_q.data(), vocab_size);
      }
      if (on_tokens) on_tokens(static_cast<int64_t>(values.size()));
    }
  }
  result.tokens = static_cast<int64_t>(values.size());
  for (double value : values) result.mean_kl += value / static_cast<double>(values.size());
  std::sort(values.begin(), values.end());
  result.max_kl = values.back();
  result.p99_kl = values[values.size() * 99 / 100];
  result.same_top1 = static_cast<double>(same) / static_cast<double>(values.size());
  return result;
}

}  // namespace callie::eval
