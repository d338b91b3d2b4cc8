#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <cstring>

#include "tokenizer/text.h"

namespace callie {
namespace {

using Kind = NormalizerStep::Kind;

/// Applies `map` to each maximal part of `text` that is valid UTF-8; other bytes are kept.
template <typename Map>
std::string map_valid(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  const uint8_t* const base = text::bytes(text);
  const uint8_t* const end = base + text.size();
  for (const uint8_t* p = base; p < end;) {
    const uint8_t* const begin = p;
    while (p < end) {
      const uint32_t length = text::valid_length(p, end);
      if (length == 0) break;
      p += length;
    }
    if (p > begin) out += map(text.substr(static_cast<size_t>(begin - base), static_cast<size_t>(p - begin)));
    while (p < end && text::valid_length(p, end) == 0) out += static_cast<char>(*p++);
  }
  return out;
}

bool is_ascii(std::string_view text) {
  for (char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) return false;
  }
  return true;
}

std::string compose(std::string_view text, int options) {
  if (is_ascii(text)) return std::string(text);
  return map_valid(text, [&](std::string_view part) {
    utf8proc_uint8_t* result = nullptr;
    const utf8proc_ssize_t length =
        utf8proc_map(text::bytes(part), static_cast<utf8proc_ssize_t>(part.size()), &result,
                     static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options));
    std::string out = length < 0 ? std::string(part)
                                 : std::string(reinterpret_cast<char*>(result), static_cast<size_t>(length));
    std::free(result);
    return out;
  });
}

/// Gives each character to `map(code, out)`, which appends what stands for it.
template <typename Map>
std::string map_characters(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  const uint8_t* const base = text::bytes(text);
  const uint8_t* const end = base + text.size();
  for (const uint8_t* p = base; p < end;) {
    const text::Char c = text::decode(p, end);
    if (c.classes == text::kInvalid) {
      out += static_cast<char>(*p);
    } else {
      map(c, out);
    }
    p += c.length;
  }
  return out;
}

void append_lower(uint32_t code, std::string& out) {
  // The one character whose lower case is two (without regard to language).
  if (code == 0x130) {
    out += "i\xcc\x87";
  } else {
    text::append(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

/// Character by character, without regard to what stands around (a final sigma is a sigma).
std::string lowercase(std::string_view text) {
  return map_characters(text, [](const text::Char& c, std::string& out) { append_lower(c.code, out); });
}

std::string strip_accents(std::string_view text, bool only_nonspacing) {
  return map_characters(text, [&](const text::Char& c, std::string& out) {
    if (c.classes & text::kMark) {
      if (!only_nonspacing) return;
      if (utf8proc_category(static_cast<utf8proc_int32_t>(c.code)) == UTF8PROC_CATEGORY_MN) return;
    }
    text::append(out, c.code);
  });
}

bool is_chinese(uint32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/// Control, format and private characters, as Hugging Face's clean_text knows them: by Unicode 8, so format characters
/// that are younger stay, and so does what no version assigns.
bool is_other(uint32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if (category == UTF8PROC_CATEGORY_CF) {
    const bool younger = code == 0x890 || code == 0x891 || code == 0x8e2 || code == 0x110cd ||
                         (code >= 0x13430 && code <= 0x1343f);
    return !younger;
  }
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CS;
}

std::string bert(const NormalizerStep& step, std::string_view input) {
  std::string text(input);
  if (step.clean_text) {
    std::string out;
    out.reserve(text.size());
    const uint8_t* const end = text::bytes(text) + text.size();
    for (const uint8_t* p = text::bytes(text); p < end;) {
      const text::Char c = text::decode(p, end);
      p += c.length;
      if (c.classes == text::kInvalid || c.code == 0 || c.code == 0xfffd) continue;
      if (c.code == '\t' || c.code == '\n' || c.code == '\r') {
        out += ' ';
      } else if (!is_other(c.code)) {
        text::append(out, c.classes & text::kSpace ? ' ' : c.code);
      }
    }
    text = std::move(out);
  }
  if (step.chinese_chars) {
    text = map_characters(text, [](const text::Char& c, std::string& out) {
      const bool alone = is_chinese(c.code);
      if (alone) out += ' ';
      text::append(out, c.code);
      if (alone) out += ' ';
    });
  }
  if (step.strip_accents.value_or(step.lowercase)) text = strip_accents(compose(text, UTF8PROC_DECOMPOSE), true);
  if (step.lowercase) text = lowercase(text);
  return text;
}

std::string nmt(std::string_view text) {
  return map_characters(text, [](const text::Char& c, std::string& out) {
    const uint32_t u = c.code;
    const bool gone = (u >= 0x01 && u <= 0x08) || u == 0x0b || (u >= 0x0e && u <= 0x1f) || u == 0x7f || u == 0x8f ||
                      u == 0x9f;
    if (gone) return;
    const bool blank = u == 0x09 || u == 0x0a || u == 0x0c || u == 0x0d || u == 0x1680 || (u >= 0x200b && u <= 0x200f) ||
                       u == 0x2028 || u == 0x2029 || u == 0x2581 || u == 0xfeff || u == 0xfffd;
    if (blank) {
      out += ' ';
    } else {
      text::append(out, u);
    }
  });
}

StatusOr<std::string> replace(const NormalizerStep& step, const Regex& regex, std::string_view text) {
  std::string out;
  size_t at = 0;
  if (!step.is_regex) {
    if (step.pattern.empty()) return std::string(text);
    for (size_t found; (found = text.find(step.pattern, at)) != std::string_view::npos;) {
      out.append(text, at, found - at);
      out += step.content;
      at = found + step.pattern.size();
    }
  } else {
    for (size_t from = 0; from < text.size();) {
      CALLIE_ASSIGN_OR_RETURN(const Regex::Match match, regex.find(text, from));
      if (!match.found()) break;
      out.append(text, at, match.begin - at);
      if (match.end > match.begin) out += step.content;
      at = match.end;
      from = match.end > match.begin ? match.end : match.end + 1;
    }
  }
  out.append(text, at);
  return out;
}

std::string_view strip(const NormalizerStep& step, std::string_view text) {
  const uint8_t* begin = text::bytes(text);
  const uint8_t* end = begin + text.size();
  while (step.left && begin < end) {
    const text::Char c = text::decode(begin, end);
    if (!(c.classes & text::kSpace)) break;
    begin += c.length;
  }
  while (step.right && begin < end) {
    const uint8_t* p = end - 1;
    while (p > begin && (*p & 0xc0) == 0x80) --p;
    if (!(text::decode(p, end).classes & text::kSpace)) break;
    end = p;
  }
  return {reinterpret_cast<const char*>(begin), static_cast<size_t>(end - begin)};
}

/// Replaces by grapheme where a short grapheme as a whole has an entry, else character by character, as
/// `tokenizer.json`'s Precompiled does.
std::string precompiled(const CharacterMap& map, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const uint8_t* const base = text::bytes(text);
  const uint8_t* const end = base + text.size();
  for (const uint8_t* p = base; p < end;) {
    const uint8_t* const begin = p;
    text::Char c = text::decode(p, end);
    p += c.length;
    utf8proc_int32_t state = 0;
    while (p < end && c.classes != text::kInvalid) {
      const text::Char next = text::decode(p, end);
      if (next.classes == text::kInvalid ||
          utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                           static_cast<utf8proc_int32_t>(next.code), &state)) {
        break;
      }
      p += next.length;
      c = next;
    }
    const std::string_view grapheme = text.substr(static_cast<size_t>(begin - base), static_cast<size_t>(p - begin));
    if (grapheme.size() < 6) {
      if (const std::string_view found = map.find(grapheme); found.data()) {
        out += found;
        continue;
      }
    }
    for (const uint8_t* q = begin; q < p;) {
      const text::Char part = text::decode(q, p);
      const std::string_view one = text.substr(static_cast<size_t>(q - base), part.length);
      const std::string_view found = map.find(one);
      out += found.data() ? found : one;
      q += part.length;
    }
  }
  return out;
}

}  // namespace

StatusOr<CharacterMap> CharacterMap::parse(std::string_view blob) {
  CharacterMap map;
  if (blob.size() < 4) return data_loss("precompiled_charsmap: too short");
  uint32_t trie_bytes = 0;
  std::memcpy(&trie_bytes, blob.data(), 4);
  if (trie_bytes % 4 != 0 || trie_bytes > blob.size() - 4) return data_loss("precompiled_charsmap: wrong trie size");
  map.trie_.resize(trie_bytes / 4);
  if (trie_bytes > 0) std::memcpy(map.trie_.data(), blob.data() + 4, trie_bytes);
  map.replacements_ = blob.substr(4 + trie_bytes);
  map.replacements_ += '\0';
  return map;
}

std::string_view CharacterMap::find(std::string_view text) const {
  // A unit of the double array: bits 0-7 the label with bit 31 as "value", bit 8 has a leaf, the rest an offset.
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  if (trie_.empty()) return {};
  size_t node = offset(trie_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const uint8_t byte = static_cast<uint8_t>(text[i]);
    if (byte == 0) break;
    node ^= byte;
    if (node >= trie_.size()) break;
    const uint32_t unit = trie_[node];
    if ((unit & ((1u << 31) | 0xff)) != byte) break;
    node ^= offset(unit);
    if (unit >> 8 & 1) {
      if (node >= trie_.size()) break;
      const size_t at = trie_[node] & ((1u << 31) - 1);
      if (at >= replacements_.size()) break;
      return std::string_view(replacements_.c_str() + at);
    }
  }
  return {};
}

StatusOr<Normalizer> Normalizer::create(const std::vector<NormalizerStep>& steps) {
  Normalizer made;
  for (const NormalizerStep& step : steps) {
    Step compiled{step};
    if (step.kind == Kind::kReplace && step.is_regex) {
      CALLIE_ASSIGN_OR_RETURN(compiled.regex, Regex::compile(step.pattern));
    }
    if (step.kind == Kind::kPrecompiled) {
      CALLIE_ASSIGN_OR_RETURN(compiled.map, CharacterMap::parse(step.content));
    }
    made.steps_.push_back(std::move(compiled));
  }
  return made;
}

StatusOr<std::string> Normalizer::apply(std::string_view input, bool prepend) const {
  std::string text(input);
  for (const Step& step : steps_) {
    switch (step.what.kind) {
      case Kind::kNfc:
        text = compose(text, UTF8PROC_COMPOSE);
        break;
      case Kind::kNfd:
        text = compose(text, UTF8PROC_DECOMPOSE);
        break;
      case Kind::kNfkc:
        text = compose(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kNfkd:
        text = compose(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kLowercase:
        text = lowercase(text);
        break;
      case Kind::kStripAccents:
        text = strip_accents(text, false);
        break;
      case Kind::kStrip:
        text = std::string(strip(step.what, text));
        break;
      case Kind::kPrepend:
        if (prepend && !text.empty()) text.insert(0, step.what.content);
        break;
      case Kind::kReplace: {
        CALLIE_ASSIGN_OR_RETURN(text, replace(step.what, step.regex, text));
        break;
      }
      case Kind::kBert:
        text = bert(step.what, text);
        break;
      case Kind::kNmt:
        text = nmt(text);
        break;
      case Kind::kPrecompiled:
        text = precompiled(step.map, text);
        break;
    }
  }
  return text;
}

}  // namespace callie
