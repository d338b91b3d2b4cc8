#include "tokenizer/added_tokens.h"

#include "tokenizer/text.h"

namespace callie {
namespace {

bool is_word(const text::Char& c) {
  return (c.classes & (text::kLetter | text::kMark | text::kNumber)) || c.code == '_';
}

const uint8_t* step_back(const uint8_t* p, const uint8_t* begin) {
  --p;
  while (p > begin && (*p & 0xc0) == 0x80) --p;
  return p;
}

}  // namespace

void AddedTokens::build(std::vector<Entry> entries) {
  entries_ = std::move(entries);
  size_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.content.size();
  trie_.reserve(bytes);
  for (size_t i = 0; i < entries_.size(); ++i) trie_.insert(entries_[i].content, static_cast<int32_t>(i));
}

void AddedTokens::split(std::string_view text, bool parse_special, std::vector<Part>& parts) const {
  const uint8_t* const base = text::bytes(text);
  const uint8_t* const end = base + text.size();
  size_t plain = 0;  // where the text begins that has not been given out
  for (size_t at = 0; at < text.size();) {
    if (!trie_.starts_with(base[at])) {
      ++at;
      continue;
    }
    size_t size = 0;
    int32_t found = -1;
    trie_.prefixes(text.substr(at), [&](size_t length, int32_t index) {
      size = length;
      found = index;
    });
    if (found < 0) {
      ++at;
      continue;
    }
    const Entry& entry = entries_[static_cast<size_t>(found)];
    size_t begin = at, stop = at + size;
    at = stop;
    if (entry.special && !parse_special) continue;
    if (entry.flags.single_word) {
      const bool before = begin > 0 && is_word(text::decode(step_back(base + begin, base), base + begin));
      const bool after = stop < text.size() && is_word(text::decode(base + stop, end));
      if (before || after) continue;
    }
    while (entry.flags.lstrip && begin > plain) {
      const uint8_t* p = step_back(base + begin, base + plain);
      if (!(text::decode(p, base + begin).classes & text::kSpace)) break;
      begin = static_cast<size_t>(p - base);
    }
    while (entry.flags.rstrip && stop < text.size()) {
      const text::Char c = text::decode(base + stop, end);
      if (!(c.classes & text::kSpace)) break;
      stop += c.length;
    }
    if (begin > plain) parts.push_back({text.substr(plain, begin - plain), -1});
    parts.push_back({text.substr(begin, stop - begin), entry.id});
    plain = stop;
    at = stop;
  }
  if (plain < text.size()) parts.push_back({text.substr(plain), -1});
}

}  // namespace callie
