#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/status.h"
#include "engine/token_mask.h"

namespace callie {

/// How the next token is chosen. Defaults are those of `callie run --help`.
struct SamplingOptions {
  float temperature = 0.7f;        ///< 0 = greedy: no noise
  int top_k = 40;                  ///< 0 = off
  float top_p = 0.95f;             ///< 1 = off
  float min_p = 0.0f;              ///< 0 = off: keeps tokens with p >= min_p * p_max
  float repeat_penalty = 1.0f;     ///< divides positive and multiplies negative logits of generated tokens
  float presence_penalty = 0.0f;   ///< subtracted once from every generated token
  float frequency_penalty = 0.0f;  ///< subtracted once for each occurrence
  std::vector<std::pair<int32_t, float>> logit_bias;
  uint64_t seed = 0;
  uint32_t choice = 0;  ///< index of the answer among n with the same seed

  /// Errors: kInvalidArgument names the field.
  Status validate(int64_t vocab_size) const;
};

struct TokenLogprob {
  int32_t token;
  float logprob;
};

/// The state behind one sequence's choices: penalties over generated tokens and the constraint. A choice is a function
/// of (options, logits, tokens generated so far, position since generation start): never of timing, batch or threads.
/// Cloneable, so that verification can run it over every position of a draft.
///
/// Order: logit bias, penalties, constraint mask, temperature, top-k, top-p, min-p, then arg-max of logit / T + Gumbel
/// noise (drafter-invariant sampling, arXiv 2408.07978); ties go to the lowest id.
class Sampler {
 public:
  /// `mask` may be null. `first_position` counts tokens that were generated before (a resumed generation).
  explicit Sampler(SamplingOptions options, std::unique_ptr<TokenMask> mask = nullptr, int64_t first_position = 0);
  Sampler(const Sampler& other);
  Sampler& operator=(const Sampler& other);
  Sampler(Sampler&&) = default;
  Sampler& operator=(Sampler&&) = default;

  /// The token for the next position. `logits` [vocab_size] are not changed. Errors: kFailedPrecondition when the
  /// constraint allows no token, kInternal for logits that are all NaN.
  ///
  /// `margin` (may be null): how far the choice stood above the runner-up, in logits, divided by the temperature and
  /// with the noise where there is one; infinity without a runner-up. A draft's margin tells how likely it is to stand.
  StatusOr<int32_t> choose(std::span<const float> logits, float* margin = nullptr);

  /// Log-probabilities after `choose`'s steps up to the temperature are not applied: plain log-softmax of the raw
  /// logits, `n` best first, the chosen token's value in `chosen`.
  static std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, int n, int32_t token, float* chosen);

  /// Takes `token` as generated: penalties, constraint and position move on. Errors: those of TokenMask::accept.
  Status accept(int32_t token);

  int64_t position() const { return position_; }
  const SamplingOptions& options() const { return options_; }
  TokenMask* mask() { return mask_.get(); }
  /// The last choice was the plain arg-max of the raw logits without any adjustment.
  bool is_plain_greedy() const;

 private:
  struct Candidate {
    float logit;
    int32_t token;
  };
  StatusOr<int32_t> choose_greedy(std::span<const float> logits, float* margin) const;
  StatusOr<int32_t> choose_noisy(std::span<const float> logits, float* margin);
  bool adjusts_logits() const;

  SamplingOptions options_;
  std::unique_ptr<TokenMask> mask_;
  int64_t position_ = 0;
  std::vector<std::pair<int32_t, int>> generated_;  // (token, count), sorted by token
  std::vector<float> adjusted_;
  std::vector<uint32_t> allowed_;
  std::vector<Candidate> candidates_;
};

}  // namespace callie
