#pragma once

#include <memory>
#include <vector>

#include "decode/speculative/speculator.h"
#include "decode/strategy.h"

namespace callie::decode {

/// Speculative decoding of one sequence: the target checks a draft and the token after it in one pass. Emits the tokens
/// and hashes the logits that plain decoding would, at any temperature: a drafted token stands when the sampler, with
/// its whole state at that position, chooses it.
class SpeculativeStrategy : public Strategy {
 public:
  /// `hash` may be null. All must outlive the strategy.
  SpeculativeStrategy(Session& session, Sampler& sampler, LogitsHash* hash, Speculator& speculator)
      : session_(session), sampler_(sampler), hash_(hash), speculator_(speculator) {}

  StatusOr<int32_t> begin(std::span<const int32_t> prompt) override;
  /// One token; the pass that chose it may hold the next ones too. Choosing only when asked leaves sampler, hash and
  /// counts as plain decoding has them wherever the answer ends.
  StatusOr<std::span<const int32_t>> step(int64_t max_tokens) override;
  Counts counts() const override { return counts_; }
  const char* name() const override { return speculator_.name(); }

 private:
  static constexpr uint64_t kSequence = 0;

  StatusOr<int32_t> choose(std::span<const float> logits);
  Status run_pass(int64_t max_tokens);

  Session& session_;
  Sampler& sampler_;
  LogitsHash* hash_;
  Speculator& speculator_;
  std::vector<int32_t> tokens_;   // prompt and answer
  std::vector<int32_t> draft_;    // of the last pass
  std::span<const float> logits_; // of the last pass, [draft + 1, vocab_size]
  int64_t next_row_ = -1;         // of logits_; -1 = all are used up
  int64_t pass_begin_ = 0;        // session size before the last pass
  Counts counts_;
};

/// Plain decoding, or with a speculator, speculation.
std::unique_ptr<Strategy> make_strategy(Session& session, Sampler& sampler, LogitsHash* hash, Speculator* speculator);

}  // namespace callie::decode
