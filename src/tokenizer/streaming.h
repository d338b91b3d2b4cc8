#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callie {

class Tokenizer;

/// Tokens one by one to text that never ends inside a UTF-8 character. Bytes that cannot become valid UTF-8 any more
/// are given out as they are, so that nothing is lost: the concatenated output is the concatenated bytes.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  /// The text that is complete once `id` has been added; often empty for a part of a character.
  std::string add(int32_t id);
  /// What is still held back (an unfinished character), at the end of the text.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string held_;
};

/// Looks for stop strings in streamed text and holds back what may yet become one.
class StopMatcher {
 public:
  /// Empty stop strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  struct Result {
    std::string text;      ///< what may be shown now
    bool stopped = false;  ///< a stop string was completed; it and what follows it are never shown
    int stop_index = -1;   ///< which one
  };
  /// Adds text. After a stop, further text is ignored. Of several stop strings the one that begins first wins, then the
  /// longest that is complete.
  Result add(std::string_view text);
  /// The text held back, at the end of generation.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace callie
