#include "tokenizer/vocabulary_hash.h"

#include <span>
#include <string_view>

#include "core/hash.h"

namespace callie {
namespace {

/// Feeds values with their sizes, so that no two vocabularies look the same.
class Feed {
 public:
  void number(uint64_t value) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    stream_.update(bytes);
  }
  void text(std::string_view value) {
    number(value.size());
    stream_.update({reinterpret_cast<const uint8_t*>(value.data()), value.size()});
  }
  void texts(const std::vector<std::string>& values) {
    number(values.size());
    std::string joined;
    for (const std::string& value : values) {
      joined += value;
      joined += '\0';
    }
    text(joined);
  }
  void id(const std::optional<int32_t>& value) { number(value ? static_cast<uint64_t>(*value) + 1 : 0); }
  template <typename T>
  void array(const std::vector<T>& values) {
    number(values.size());
    stream_.update({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)});
  }
  uint64_t digest() const { return stream_.digest(); }

 private:
  Xxh64Stream stream_;
};

}  // namespace

uint64_t hash_vocabulary(const Vocabulary& v) {
  Feed feed;
  feed.number(static_cast<uint64_t>(v.kind));
  feed.texts(v.tokens);
  feed.array(v.types);
  feed.array(v.scores);
  feed.texts(v.merges);
  feed.number(v.normalizer.size());
  for (const NormalizerStep& step : v.normalizer) {
    feed.number(static_cast<uint64_t>(step.kind));
    feed.text(step.pattern);
    feed.text(step.content);
    feed.number(step.is_regex | step.left << 1 | step.right << 2 | step.clean_text << 3 | step.chinese_chars << 4 |
                step.lowercase << 5 | step.strip_accents.value_or(step.lowercase) << 6);
  }
  feed.number(v.pre_tokenizer.size());
  for (const PreTokenizerStep& step : v.pre_tokenizer) {
    feed.number(static_cast<uint64_t>(step.kind));
    feed.text(step.pattern);
    feed.number(static_cast<uint64_t>(step.behavior) | static_cast<uint64_t>(step.prepend) << 8 |
                static_cast<uint64_t>(step.is_regex) << 16 | static_cast<uint64_t>(step.invert) << 17 |
                static_cast<uint64_t>(step.add_prefix_space) << 18 | static_cast<uint64_t>(step.individual) << 19 |
                static_cast<uint64_t>(step.split) << 20);
  }
  feed.number(v.added.size());
  for (const AddedToken& token : v.added) {
    feed.number(static_cast<uint64_t>(token.id));
    feed.number(token.single_word | token.lstrip << 1 | token.rstrip << 2 | token.normalized << 3);
  }
  for (const auto& id : {v.bos, v.eos, v.unk}) feed.id(id);
  feed.number(v.byte_fallback | v.ignore_merges << 1 | v.fuse_unk << 2 | v.add_bos << 3 | v.add_eos << 4 |
              v.word_start_marks << 5);
  feed.text(v.continuing_prefix);
  feed.number(static_cast<uint64_t>(v.max_word_chars));
  return feed.digest();
}

}  // namespace callie
