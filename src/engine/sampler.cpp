#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/philox.h"
#include "kernels/vector_ops.h"

namespace callie {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Standard Gumbel noise of one token at one position.
float gumbel(const CounterRng& rng, uint64_t position, int32_t token) {
  const auto words = rng.words(position, static_cast<uint32_t>(token) / 4);
  const double u = CounterRng::uniform(words[static_cast<uint32_t>(token) % 4]);
  return static_cast<float>(-std::log(-std::log(u)));
}

}  // namespace

Status SamplingOptions::validate(int64_t vocab_size) const {
  if (!(temperature >= 0) || temperature > 100) return invalid_argument("temperature: {} is not in 0..100", temperature);
  if (top_k < 0) return invalid_argument("top_k: {} is negative", top_k);
  if (!(top_p > 0) || top_p > 1) return invalid_argument("top_p: {} is not in (0, 1]", top_p);
  if (!(min_p >= 0) || min_p > 1) return invalid_argument("min_p: {} is not in 0..1", min_p);
  if (!(repeat_penalty > 0) || repeat_penalty > 100) {
    return invalid_argument("repeat_penalty: {} is not in (0, 100]", repeat_penalty);
  }
  for (const auto& [name, value] : {std::pair{"presence_penalty", presence_penalty},
                                    std::pair{"frequency_penalty", frequency_penalty}}) {
    if (!std::isfinite(value)) return invalid_argument("{}: {} is not a number", name, value);
  }
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || token >= vocab_size) return invalid_argument("logit_bias: token {} is not in 0..{}", token, vocab_size - 1);
    if (std::isnan(bias)) return invalid_argument("logit_bias: the bias of token {} is not a number", token);
  }
  return ok_status();
}

Sampler::Sampler(SamplingOptions options, std::unique_ptr<TokenMask> mask, int64_t first_position)
    : options_(std::move(options)), mask_(std::move(mask)), position_(first_position) {}

Sampler::Sampler(const Sampler& other) { *this = other; }

Sampler& Sampler::operator=(const Sampler& other) {
  if (this == &other) return *this;
  options_ = other.options_;
  mask_ = other.mask_ ? other.mask_->clone() : nullptr;
  position_ = other.position_;
  generated_ = other.generated_;
  return *this;
}

bool Sampler::adjusts_logits() const {
  return mask_ || !options_.logit_bias.empty() ||
         (!generated_.empty() && (options_.repeat_penalty != 1 || options_.presence_penalty != 0 ||
                                  options_.frequency_penalty != 0));
}

bool Sampler::is_plain_greedy() const { return options_.temperature == 0 && !adjusts_logits(); }

StatusOr<int32_t> Sampler::choose(std::span<const float> logits, float* margin) {
  std::span<const float> values = logits;
  if (adjusts_logits()) {
    adjusted_.assign(logits.begin(), logits.end());
    for (const auto& [token, bias] : options_.logit_bias) adjusted_[token] += bias;
    for (const auto& [token, count] : generated_) {
      float& value = adjusted_[token];
      value = value > 0 ? value / options_.repeat_penalty : value * options_.repeat_penalty;
      value -= options_.presence_penalty + options_.frequency_penalty * static_cast<float>(count);
    }
    if (mask_) {
      allowed_.resize((logits.size() + 31) / 32);
      CALLIE_RETURN_IF_ERROR(mask_->fill(allowed_));
      for (size_t begin = 0; begin < adjusted_.size(); begin += 32) {
        const uint32_t word = allowed_[begin / 32];
        if (word == 0xffffffffu) continue;
        const size_t end = std::min(begin + 32, adjusted_.size());
        if (word == 0) {
          std::fill(adjusted_.begin() + begin, adjusted_.begin() + end, kMinusInfinity);
          continue;
        }
        for (size_t i = begin; i < end; ++i) {
          if (!(word >> (i - begin) & 1)) adjusted_[i] = kMinusInfinity;
        }
      }
    }
    values = adjusted_;
  }
  return options_.temperature == 0 ? choose_greedy(values, margin) : choose_noisy(values, margin);
}

StatusOr<int32_t> Sampler::choose_greedy(std::span<const float> logits, float* margin) const {
  const int64_t best = kernels::argmax(logits.data(), static_cast<int64_t>(logits.size()));
  if (!(logits[best] > kMinusInfinity)) {
    return error(StatusCode::kFailedPrecondition, "sampler: no token is allowed at position {}", position_);
  }
  if (margin) {
    float second = kMinusInfinity;
    for (const auto rest : {logits.first(best), logits.subspan(best + 1)}) {
      if (!rest.empty()) second = std::max(second, rest[kernels::argmax(rest.data(), static_cast<int64_t>(rest.size()))]);
    }
    *margin = logits[best] - second;
  }
  return static_cast<int32_t>(best);
}

StatusOr<int32_t> Sampler::choose_noisy(std::span<const float> logits, float* margin) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
  };
  float highest = kMinusInfinity;
  for (float logit : logits) highest = std::max(highest, logit);
  if (highest == kMinusInfinity) {
    return error(StatusCode::kFailedPrecondition, "sampler: no token is allowed at position {}", position_);
  }
  const float inverse_t = 1 / options_.temperature;
  candidates_.clear();
  const size_t k = options_.top_k > 0 ? std::min<size_t>(options_.top_k, logits.size()) : logits.size();
  if (k < logits.size()) {
    // A heap of the k best seen; most tokens fail the first comparison.
    candidates_.reserve(k);
    for (size_t i = 0; i < logits.size(); ++i) {
      if (!(logits[i] > kMinusInfinity)) continue;
      const Candidate candidate{logits[i], static_cast<int32_t>(i)};
      if (candidates_.size() < k) {
        candidates_.push_back(candidate);
        std::push_heap(candidates_.begin(), candidates_.end(), better);
      } else if (better(candidate, candidates_.front())) {
        std::pop_heap(candidates_.begin(), candidates_.end(), better);
        candidates_.back() = candidate;
        std::push_heap(candidates_.begin(), candidates_.end(), better);
      }
    }
  } else {
    for (size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] > kMinusInfinity) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
    }
  }
  if (options_.top_p < 1) {
    std::sort(candidates_.begin(), candidates_.end(), better);
    double total = 0;
    for (const Candidate& c : candidates_) total += std::exp(double{c.logit - highest} * inverse_t);
    double sum = 0;
    size_t kept = 0;
    while (kept < candidates_.size() && sum < options_.top_p * total) {
      sum += std::exp(double{candidates_[kept].logit - highest} * inverse_t);
      ++kept;
    }
    candidates_.resize(std::max<size_t>(kept, 1));
  }
  const double floor = options_.min_p > 0 ? std::log(double{options_.min_p}) : -std::numeric_limits<double>::infinity();
  const CounterRng rng(options_.seed, Purpose::kSampling, options_.choice);
  int32_t best = -1;
  float best_score = kMinusInfinity, second_score = kMinusInfinity;
  for (const Candidate& c : candidates_) {
    if (double{c.logit - highest} * inverse_t < floor) continue;
    const float score = c.logit * inverse_t + gumbel(rng, static_cast<uint64_t>(position_), c.token);
    if (score > best_score || (score == best_score && c.token < best)) {
      second_score = best_score;
      best_score = score;
      best = c.token;
    } else {
      second_score = std::max(second_score, score);
    }
  }
  if (best < 0) return error(StatusCode::kInternal, "sampler: no finite logit at position {}", position_);
  if (margin) *margin = best_score - second_score;
  return best;
}

std::vector<TokenLogprob> Sampler::top_logprobs(std::span<const float> logits, int n, int32_t token, float* chosen) {
  const float highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (float logit : logits) total += std::exp(double{logit} - highest);
  const double log_total = std::log(total) + highest;
  if (chosen) *chosen = static_cast<float>(logits[token] - log_total);
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const size_t kept = std::min<size_t>(std::max(n, 0), order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(kept), order.end(), [&](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  std::vector<TokenLogprob> best;
  for (size_t i = 0; i < kept; ++i) best.push_back({order[i], static_cast<float>(logits[order[i]] - log_total)});
  return best;
}

Status Sampler::accept(int32_t token) {
  if (mask_) CALLIE_RETURN_IF_ERROR(mask_->accept(token));
  const auto place = std::lower_bound(generated_.begin(), generated_.end(), std::pair{token, 0});
  if (place != generated_.end() && place->first == token) {
    ++place->second;
  } else {
    generated_.insert(place, {token, 1});
  }
  ++position_;
  return ok_status();
}

}  // namespace callie
