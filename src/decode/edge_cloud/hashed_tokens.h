#pragma once

#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "decode/edge_cloud/outcome.h"

namespace callie::edge_cloud {

/// A token sequence with the rolling 64-bit hash of each of its prefixes. Both sides compare (length, hash) instead of
/// tokens. The mixer is SplitMix64's finalizer (Steele, Lea, Flood, OOPSLA 2014).
class HashedTokens {
 public:
  HashedTokens() : hashes_{0x9E3779B97F4A7C15u} {}

  int length() const { return static_cast<int>(tokens_.size()); }
  uint64_t hash() const { return hashes_.back(); }
  /// Hash of the first `length` tokens; 0 <= length <= length().
  uint64_t hash_at(int length) const {
    assert(length >= 0 && length < static_cast<int>(hashes_.size()));
    return hashes_[length];
  }
  std::span<const TokenId> tokens() const { return tokens_; }
  TokenId operator[](int i) const { return tokens_[i]; }
  TokenId back() const { return tokens_.back(); }

  void push(TokenId token) {
    tokens_.push_back(token);
    hashes_.push_back(next_hash(hashes_.back(), token));
  }
  void append(std::span<const TokenId> tokens) {
    for (TokenId token : tokens) push(token);
  }
  void truncate(int length) {
    tokens_.resize(length);
    hashes_.resize(length + 1);
  }

  static uint64_t next_hash(uint64_t hash, TokenId token) {
    uint64_t z = hash + 0x9E3779B97F4A7C15u + static_cast<uint32_t>(token);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  std::vector<TokenId> tokens_;
  std::vector<uint64_t> hashes_;
};

}  // namespace callie::edge_cloud
