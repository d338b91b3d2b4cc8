#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"
#include "engine/sampler.h"

namespace callie::decode {

/// Guesses the tokens of one or more sequences, all of them in one pass.
class Drafter {
 public:
  virtual ~Drafter() = default;

  /// Sets what `sequence` (the caller's name for it) holds: all committed tokens, at least one. What the cache has of
  /// them is kept. Errors: kResourceExhausted when there is no memory for it; it is then forgotten.
  virtual Status follow(uint64_t sequence, std::span<const int32_t> tokens) = 0;
  /// Frees the sequence's cache.
  virtual void forget(uint64_t sequence) = 0;
  /// Tokens that the next extend() of the sequence would compute; all of `tokens` for one never followed.
  virtual int64_t lag(uint64_t sequence, std::span<const int32_t> tokens) const = 0;

  struct Extension {
    uint64_t sequence = 0;
    Sampler* sampler = nullptr;  ///< chooses the guesses and takes them as generated
    std::span<const int32_t> hints = {};  ///< what may come next, from elsewhere
    std::vector<int32_t> tokens = {};     ///< out: the guesses, now the sequence's last tokens; empty where the
                                          ///< constraint has none
    std::vector<float> margins = {};      ///< out: Sampler::choose, of each guess
  };
  /// Computes what is missing of each sequence and guesses one token more, or as many as hints were right and one. The
  /// guesses are those of single steps: hints only save passes. Precondition: all are followed, and at most
  /// kLongestDraft guesses were made since.
  virtual void extend(std::span<Extension> extensions) = 0;
  /// Computes up to `most` missing tokens of a sequence without a guess; the last one is left for extend().
  virtual void catch_up(uint64_t sequence, int64_t most) = 0;
  static constexpr int64_t kLongestDraft = 64;

  /// No guess follows this token.
  virtual bool ends(int32_t token) const = 0;
  /// What a pass over one token reads.
  virtual int64_t step_bytes() const = 0;
};

}  // namespace callie::decode
