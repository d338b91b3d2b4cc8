#pragma once

#include <span>

#include "decode/edge_cloud/outcome.h"

namespace callie::edge_cloud {

/// What the draft expects after a sequence: its choice under the session's noise, the runner-up, and the choice's
/// probability.
struct Guess {
  TokenId token = 0;
  TokenId second = 0;
  float probability = 1;
};

/// The small model behind the client. It holds a key/value cache of the tokens it was fed.
class DraftModel {
 public:
  virtual ~DraftModel() = default;

  /// Tokens in the cache.
  virtual int length() const = 0;
  /// Forgets all but the first `length` tokens; 0 <= length <= length().
  virtual void truncate(int length) = 0;
  /// Appends `tokens` (at least one) and returns the guess for the token after them. One uninterruptible unit of work.
  virtual Guess extend(std::span<const TokenId> tokens) = 0;
};

}  // namespace callie::edge_cloud
