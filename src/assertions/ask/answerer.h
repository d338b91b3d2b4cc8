#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace callie::assertions {

struct ChatTurn {
  std::string role;   ///< "system", "user", "assistant"
  std::string text;
};

/// A model that answers: in this process, or behind an endpoint.
class Answerer {
 public:
  virtual ~Answerer() = default;
  /// The answer to a conversation; the same seed gives the same answer where the model allows it. Called from
  /// `concurrency()` threads at once. Errors: those of the model or the network; kCancelled.
  virtual StatusOr<std::string> answer(const std::vector<ChatTurn>& turns, uint64_t seed) = 0;
  virtual int concurrency() const = 0;
};

}  // namespace callie::assertions
