#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "tokenizer/regex.h"
#include "tokenizer/vocabulary.h"

namespace callie {

/// SentencePiece's compiled character map: a double-array trie over UTF-8 and the replacements it points to.
class CharacterMap {
 public:
  /// Errors: kDataLoss where sizes do not fit.
  static StatusOr<CharacterMap> parse(std::string_view blob);
  /// The replacement of the shortest key that begins `text`, or a view without data.
  std::string_view find(std::string_view text) const;

 private:
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

/// Applies the steps of a vocabulary to text. Bytes that are not valid UTF-8 pass through every step unchanged.
class Normalizer {
 public:
  static StatusOr<Normalizer> create(const std::vector<NormalizerStep>& steps);

  bool empty() const { return steps_.empty(); }
  /// `prepend`: whether kPrepend steps act.
  StatusOr<std::string> apply(std::string_view text, bool prepend = true) const;

 private:
  struct Step {
    NormalizerStep what;
    Regex regex;
    CharacterMap map;
  };
  std::vector<Step> steps_;
};

}  // namespace callie
