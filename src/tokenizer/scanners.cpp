#include "tokenizer/scanners.h"

#include "tokenizer/text.h"

namespace callie {
namespace {

using text::Char;

struct Cursor {
  const uint8_t* p;
  const uint8_t* end;

  bool at_end() const { return p == end; }
  Char peek() const { return text::decode(p, end); }
  /// Moves past all characters that have one of `yes` and none of `no` (yes = 0: any class).
  void skip_while(uint8_t yes, uint8_t no) {
    while (p < end) {
      const Char c = text::decode(p, end);
      if ((yes && !(c.classes & yes)) || (c.classes & no)) return;
      p += c.length;
    }
  }
};

/// Length of 's 't 'm 'd 're 've 'll at `p`, which is an apostrophe; 0 when there is none. Without regard to case,
/// U+017F is an s too, as in the regular expressions' case folding.
size_t contraction(const uint8_t* p, const uint8_t* end, bool any_case) {
  const size_t room = static_cast<size_t>(end - p);
  if (room < 2) return 0;
  const auto fold = [&](uint8_t c) -> uint8_t { return any_case && c >= 'A' && c <= 'Z' ? c | 0x20 : c; };
  const uint8_t a = fold(p[1]);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if (any_case && a == 0xc5 && room >= 3 && p[2] == 0xbf) return 3;
  if (room < 3) return 0;
  const uint8_t b = fold(p[2]);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

/// `\s+(?!\S)|\s+` from a blank on: the run without its last character when more than one stand before a non-blank.
const uint8_t* blank_run(Cursor cursor) {
  const uint8_t* last = cursor.p;
  int count = 0;
  while (!cursor.at_end()) {
    const Char c = cursor.peek();
    if (!(c.classes & text::kSpace)) return count > 1 ? last : cursor.p;
    last = cursor.p;
    cursor.p += c.length;
    ++count;
  }
  return cursor.p;
}

size_t scan_gpt2(std::string_view text, size_t begin) {
  const uint8_t* const base = text::bytes(text);
  Cursor cursor{base + begin, base + text.size()};
  Char c = cursor.peek();
  if (c.code == '\'') {
    if (const size_t length = contraction(cursor.p, cursor.end, false)) return begin + length;
  }
  if (c.code == ' ' && cursor.p + 1 < cursor.end) {
    const Char next = text::decode(cursor.p + 1, cursor.end);
    if (!(next.classes & text::kSpace)) {
      ++cursor.p;
      c = next;
    }
  }
  if (c.classes & text::kLetter) {
    cursor.skip_while(text::kLetter, 0);
  } else if (c.classes & text::kNumber) {
    cursor.skip_while(text::kNumber, 0);
  } else if (!(c.classes & text::kSpace)) {
    cursor.skip_while(0, text::kSpace | text::kLetter | text::kNumber);
  } else {
    return static_cast<size_t>(blank_run(cursor) - base);
  }
  return static_cast<size_t>(cursor.p - base);
}

/// The family of cl100k: at most `max_digits` digits together; `word` are the classes of which words consist.
template <int max_digits, uint8_t word>
size_t scan_cl100k(std::string_view text, size_t begin) {
  const uint8_t* const base = text::bytes(text);
  Cursor cursor{base + begin, base + text.size()};
  const Char c = cursor.peek();
  if (c.code == '\'') {
    if (const size_t length = contraction(cursor.p, cursor.end, true)) return begin + length;
  }
  const auto end_here = [&] { return static_cast<size_t>(cursor.p - base); };
  if (c.classes & word) {  // for marks, too: as the first alternative of its set
    cursor.skip_while(word, 0);
    return end_here();
  }
  if (c.classes & text::kNumber) {
    for (int i = 0; i < max_digits && !cursor.at_end(); ++i) {
      const Char digit = cursor.peek();
      if (!(digit.classes & text::kNumber)) break;
      cursor.p += digit.length;
    }
    return end_here();
  }
  const uint8_t* const after = cursor.p + c.length;
  const bool has_next = after < cursor.end;
  const Char next = has_next ? text::decode(after, cursor.end) : Char{0, 1, text::kSpace};
  if (!(c.classes & text::kNewline) && (next.classes & word)) {
    cursor.p = after;
    cursor.skip_while(word, 0);
    return end_here();
  }
  constexpr uint8_t kNotOther = text::kSpace | text::kNumber | word;
  if (!(c.classes & kNotOther) || (c.code == ' ' && !(next.classes & kNotOther))) {
    cursor.p = after;
    cursor.skip_while(0, kNotOther);
    cursor.skip_while(text::kNewline, 0);
    return end_here();
  }
  // Blanks: up to the last line break of the run where it has one.
  const uint8_t* last_newline = nullptr;
  for (Cursor run = cursor; !run.at_end();) {
    const Char blank = run.peek();
    if (!(blank.classes & text::kSpace)) break;
    run.p += blank.length;
    if (blank.classes & text::kNewline) last_newline = run.p;
  }
  return static_cast<size_t>((last_newline ? last_newline : blank_run(cursor)) - base);
}

}  // namespace

Scanner scanner_for(std::string_view regex) {
  if (regex == patterns::kGpt2) return scan_gpt2;
  if (regex == patterns::kLlama3) return scan_cl100k<3, text::kLetter>;
  if (regex == patterns::kQwen2) return scan_cl100k<1, text::kLetter>;
  if (regex == patterns::kQwen35) return scan_cl100k<1, text::kLetter | text::kMark>;
  return nullptr;
}

}  // namespace callie
