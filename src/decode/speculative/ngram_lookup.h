#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace callie::decode {

/// Prompt look-up: proposes what followed the last tokens when they stood in the text before (prompt or answer).
class NgramLookup {
 public:
  /// Takes the whole sequence, which must extend the last one given (else the index is built anew).
  void follow(std::span<const int32_t> tokens);

  struct Match {
    int length = 0;  ///< tokens before the end that agree with those before the source; 0 = nothing found
    std::span<const int32_t> continuation;  ///< at most `most` tokens; valid until the next follow()
  };
  /// The longest match of at least `min_match` tokens, the latest among equals. `pending`: tokens behind the sequence
  /// that are part of what is looked up, but not of where.
  Match find(int min_match, int64_t most, std::span<const int32_t> pending = {}) const;

 private:
  static constexpr int kMinKey = 2;        // tokens of an index key
  static constexpr int kMaxCandidates = 96;
  static constexpr int kLongestMatch = 64;

  static uint64_t key(int32_t a, int32_t b) { return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b); }
  int match_length(int32_t end, std::span<const int32_t> pending) const;

  std::vector<int32_t> tokens_;
  std::unordered_map<uint64_t, int32_t> last_;  // key -> the position after its last occurrence
  std::vector<int32_t> previous_;               // by position: the one after the occurrence before, or -1
};

}  // namespace callie::decode
