#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "tokenizer/regex.h"
#include "tokenizer/scanners.h"
#include "tokenizer/vocabulary.h"

namespace callie {

/// Cuts text into pieces, step by step as the vocabulary says.
class PreTokenizer {
 public:
  /// Errors: kInvalidArgument (a bad regular expression), kUnimplemented.
  static StatusOr<PreTokenizer> create(const std::vector<PreTokenizerStep>& steps);

  /// Where the pieces of one text live: views into the text itself or into `storage`.
  struct Pieces {
    std::vector<std::string_view> views;
    std::vector<std::unique_ptr<std::string>> storage;
    std::vector<std::string_view> next;  ///< scratch of split
  };
  /// The pieces of `text`, in order, none empty. `first`: the text begins a sequence.
  Status split(std::string_view text, bool first, Pieces& pieces) const;

  bool empty() const { return steps_.empty(); }

 private:
  struct Step {
    PreTokenizerStep what;
    Scanner scanner = nullptr;
    bool digits_one_by_one = false;  // \p{N}
    Regex regex;
  };
  Status apply(const Step& step, std::string_view piece, bool first, Pieces& pieces) const;
  Status split_by_regex(const Step& step, std::string_view piece, std::vector<std::string_view>& out) const;
  std::vector<Step> steps_;
};

}  // namespace callie
