#pragma once

#include <cstdint>
#include <span>

#include "core/hash.h"
#include "core/status.h"
#include "engine/sampler.h"
#include "engine/session.h"

namespace callie::decode {

/// How the next tokens of one sequence are found: plain decoding, speculation with a draft model, prompt look-up.
/// Every strategy emits exactly the tokens that plain decoding would.
class Strategy {
 public:
  virtual ~Strategy() = default;

  /// Computes the prompt and chooses the first token. The session must be at the prompt's beginning or hold a prefix
  /// of it.
  virtual StatusOr<int32_t> begin(std::span<const int32_t> prompt) = 0;

  /// The next one or more tokens, at most `max_tokens` (>= 1), valid until the next call.
  virtual StatusOr<std::span<const int32_t>> step(int64_t max_tokens) = 0;

  /// Counts of a speculative strategy; zero for plain decoding.
  struct Counts {
    int64_t passes = 0, drafted = 0, accepted = 0;
  };
  virtual Counts counts() const { return {}; }
  virtual const char* name() const = 0;
};

/// Hash of the raw target logits that chose each emitted token, in order (contracts: logits_hash).
class LogitsHash {
 public:
  void add(std::span<const float> logits) {
    stream_.update({reinterpret_cast<const uint8_t*>(logits.data()), logits.size_bytes()});
  }
  uint64_t digest() const { return stream_.digest(); }

 private:
  Xxh64Stream stream_;
};

/// One token at a time from the model alone.
class PlainStrategy : public Strategy {
 public:
  /// `hash` may be null. All three must outlive the strategy.
  PlainStrategy(Session& session, Sampler& sampler, LogitsHash* hash)
      : session_(session), sampler_(sampler), hash_(hash) {}

  StatusOr<int32_t> begin(std::span<const int32_t> prompt) override;
  StatusOr<std::span<const int32_t>> step(int64_t max_tokens) override;
  Counts counts() const override { return {passes_, 0, 0}; }
  const char* name() const override { return "plain"; }

 private:
  StatusOr<int32_t> choose(std::span<const float> logits);

  Session& session_;
  Sampler& sampler_;
  LogitsHash* hash_;
  int32_t last_ = -1;
  int64_t passes_ = 0;
};

}  // namespace callie::decode
