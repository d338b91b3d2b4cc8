#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/trie.h"
#include "tokenizer/vocabulary.h"

namespace callie {

/// Finds added tokens in text: leftmost first, of those that begin at one place the longest.
class AddedTokens {
 public:
  struct Entry {
    std::string content;
    int32_t id = 0;
    bool special = false;
    AddedToken flags;
  };
  void build(std::vector<Entry> entries);
  bool empty() const { return entries_.empty(); }

  struct Part {
    std::string_view text;
    int32_t id = -1;  ///< -1: plain text
  };
  /// Cuts `text` into added tokens and what stands between them. Special ones count only when `parse_special`.
  void split(std::string_view text, bool parse_special, std::vector<Part>& parts) const;

 private:
  std::vector<Entry> entries_;
  Trie trie_;
};

}  // namespace callie
