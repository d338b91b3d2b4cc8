#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/status.h"

namespace callie {

/// A constraint on the next token, as the sampler sees it: a grammar, a JSON schema, a tool-call format. One mask
/// belongs to one sequence; its state moves with `accept`. Not thread-safe; clones are independent.
class TokenMask {
 public:
  virtual ~TokenMask() = default;

  /// Sets bit i of `bits` (word i / 32, bit i % 32) for every token i that may come next, and clears all others.
  /// `bits` has at least (vocab_size + 31) / 32 words. End-of-generation tokens are allowed exactly when `can_end()`.
  virtual Status fill(std::span<uint32_t> bits) = 0;

  /// Moves on by `token`. Errors: kInvalidArgument when it is not allowed; the state is then unchanged.
  virtual Status accept(int32_t token) = 0;

  /// The text so far is complete: generation may end here.
  virtual bool can_end() = 0;

  /// Nothing but the end may follow.
  virtual bool must_end() = 0;

  /// The same state, moving on its own from here (verification of drafts, forks).
  virtual std::unique_ptr<TokenMask> clone() const = 0;

  /// Tokens that the constraint leaves no choice about, in order; often empty. The state does not move.
  virtual std::vector<int32_t> forced() = 0;
};

}  // namespace callie
