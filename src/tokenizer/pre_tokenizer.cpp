#include "tokenizer/pre_tokenizer.h"

#include <cstring>

#include "tokenizer/text.h"

namespace callie {
namespace {

using Behavior = PreTokenizerStep::Behavior;
using Kind = PreTokenizerStep::Kind;

/// Gives out the pieces of a text of which some parts are delimiters, in the five ways of `tokenizer.json`.
class Cutter {
 public:
  Cutter(std::string_view text, Behavior behavior, std::vector<std::string_view>& out)
      : text_(text), behavior_(behavior), out_(out) {}

  /// The next part, which begins where the last one ended.
  void part(size_t end, bool delimiter) {
    switch (behavior_) {
      case Behavior::kRemoved:
        if (delimiter) {
          begin_ = end;
        } else {
          close(end);
        }
        break;
      case Behavior::kIsolated:
        close(end);
        break;
      case Behavior::kContiguous:
        if (delimiter != last_delimiter_) close(last_);
        break;
      case Behavior::kMergedWithPrevious:
        if (delimiter) {
          close(end);
        } else if (last_delimiter_) {
          close(last_);
        }
        break;
      case Behavior::kMergedWithNext:
        if (delimiter || !last_delimiter_) close(last_);
        break;
    }
    last_delimiter_ = delimiter;
    last_ = end;
  }
  void finish() { close(text_.size()); }

 private:
  void close(size_t end) {
    if (end > begin_) out_.push_back(text_.substr(begin_, end - begin_));
    begin_ = end;
  }
  std::string_view text_;
  Behavior behavior_;
  std::vector<std::string_view>& out_;
  size_t begin_ = 0, last_ = 0;
  bool last_delimiter_ = false;
};

/// Cuts where characters of a class are delimiters: one by one, or whole runs where `runs`.
template <typename IsDelimiter>
void split_by_class(std::string_view piece, Behavior behavior, bool runs, IsDelimiter is_delimiter,
                    std::vector<std::string_view>& out) {
  const uint8_t* const base = text::bytes(piece);
  const uint8_t* const end = base + piece.size();
  Cutter cutter(piece, behavior, out);
  for (const uint8_t* p = base; p < end;) {
    const text::Char c = text::decode(p, end);
    const bool delimiter = is_delimiter(c);
    p += c.length;
    while (p < end && (runs || !delimiter)) {
      const text::Char next = text::decode(p, end);
      if (is_delimiter(next) != delimiter) break;
      p += next.length;
    }
    cutter.part(static_cast<size_t>(p - base), delimiter);
  }
  cutter.finish();
}

bool is_number(const text::Char& c) { return c.classes & text::kNumber; }
bool is_space(const text::Char& c) { return c.classes & text::kSpace; }
/// Unicode's punctuation and ASCII's other marks ($ + < = > ^ ` | ~).
bool is_punctuation(const text::Char& c) {
  return (c.classes & text::kPunctuation) || (c.code < 0x80 && (c.classes & text::kSymbol));
}
/// \w: letters, marks, numbers, connector punctuation.
bool is_word(const text::Char& c) {
  return (c.classes & (text::kLetter | text::kMark | text::kNumber)) || c.code == '_' || c.code == 0x203f ||
         c.code == 0x2040 || c.code == 0x2054 || (c.code >= 0xfe33 && c.code <= 0xfe34) ||
         (c.code >= 0xfe4d && c.code <= 0xfe4f) || c.code == 0xff3f;
}

void split_whitespace(std::string_view piece, std::vector<std::string_view>& out) {
  const uint8_t* const base = text::bytes(piece);
  const uint8_t* const end = base + piece.size();
  const auto kind = [](const text::Char& c) { return is_word(c) ? 1 : is_space(c) ? 0 : 2; };
  for (const uint8_t* p = base; p < end;) {
    const text::Char c = text::decode(p, end);
    const uint8_t* const begin = p;
    p += c.length;
    while (p < end) {
      const text::Char next = text::decode(p, end);
      if (kind(next) != kind(c)) break;
      p += next.length;
    }
    if (kind(c) != 0) out.push_back(piece.substr(static_cast<size_t>(begin - base), static_cast<size_t>(p - begin)));
  }
}

void split_metaspace(const PreTokenizerStep& step, std::string_view piece, bool first, PreTokenizer::Pieces& pieces) {
  auto marked = std::make_unique<std::string>();
  marked->reserve(piece.size() + piece.size() / 2);
  const bool wants = step.prepend == PreTokenizerStep::Prepend::kAlways ||
                     (step.prepend == PreTokenizerStep::Prepend::kFirst && first);
  if (wants && !piece.starts_with(' ') && !piece.starts_with(text::kBlankMark)) *marked += text::kBlankMark;
  for (char c : piece) {
    if (c == ' ') {
      *marked += text::kBlankMark;
    } else {
      *marked += c;
    }
  }
  const std::string_view view = *marked;
  if (!step.split) {
    pieces.next.push_back(view);
  } else {
    for (size_t begin = 0; begin < view.size();) {
      size_t end = view.find(text::kBlankMark, begin + 1);
      if (end == std::string_view::npos) end = view.size();
      pieces.next.push_back(view.substr(begin, end - begin));
      begin = end;
    }
  }
  pieces.storage.push_back(std::move(marked));
}

}  // namespace

StatusOr<PreTokenizer> PreTokenizer::create(const std::vector<PreTokenizerStep>& steps) {
  PreTokenizer made;
  for (const PreTokenizerStep& step : steps) {
    Step compiled{step};
    switch (step.kind) {
      case Kind::kByteLevel:
        if (step.pattern.empty()) {
          compiled.scanner = nullptr;
        } else {
          compiled.scanner = scanner_for(step.pattern);
        }
        break;
      case Kind::kRegex:
        if (!step.is_regex) break;
        compiled.digits_one_by_one = step.pattern == R"(\p{N})" && !step.invert;
        if (step.behavior == Behavior::kIsolated) compiled.scanner = scanner_for(step.pattern);
        // A scanner's pattern covers the text, so that its pieces are also what is left when the rest is removed.
        if (step.behavior == Behavior::kRemoved && step.invert) compiled.scanner = scanner_for(step.pattern);
        if (!compiled.scanner) {
          CALLIE_ASSIGN_OR_RETURN(compiled.regex, Regex::compile(step.pattern));
        }
        break;
      case Kind::kUnicodeScripts:
        return error(StatusCode::kUnimplemented, "pre_tokenizer: UnicodeScripts is not supported");
      default:
        break;
    }
    made.steps_.push_back(std::move(compiled));
  }
  return made;
}

Status PreTokenizer::split_by_regex(const Step& step, std::string_view piece,
                                    std::vector<std::string_view>& out) const {
  Cutter cutter(piece, step.what.behavior, out);
  if (!step.what.is_regex) {
    const std::string& needle = step.what.pattern;
    size_t at = 0;
    while (!needle.empty()) {
      const size_t found = piece.find(needle, at);
      if (found == std::string_view::npos) break;
      if (found > at) cutter.part(found, step.what.invert);
      at = found + needle.size();
      cutter.part(at, !step.what.invert);
    }
    if (at < piece.size()) cutter.part(piece.size(), step.what.invert);
    cutter.finish();
    return {};
  }
  size_t at = 0;  // everything before it has been given out
  for (size_t from = 0; from <= piece.size();) {
    CALLIE_ASSIGN_OR_RETURN(const Regex::Match match, step.regex.find(piece, from));
    if (!match.found()) break;
    if (match.begin > at) cutter.part(match.begin, step.what.invert);
    if (match.end > match.begin) cutter.part(match.end, !step.what.invert);
    at = match.end;
    from = match.end;
    if (match.end == match.begin) {  // an empty match cuts here and the search goes on behind the next character
      if (from >= piece.size()) break;
      const uint8_t* const base = text::bytes(piece);
      from += text::decode(base + from, base + piece.size()).length;
    }
  }
  if (at < piece.size()) cutter.part(piece.size(), step.what.invert);
  cutter.finish();
  return {};
}

Status PreTokenizer::apply(const Step& step, std::string_view piece, bool first, Pieces& pieces) const {
  std::vector<std::string_view>& out = pieces.next;
  switch (step.what.kind) {
    case Kind::kByteLevel:
      if (step.what.add_prefix_space && !piece.starts_with(' ')) {
        pieces.storage.push_back(std::make_unique<std::string>(1, ' '));
        *pieces.storage.back() += piece;
        piece = *pieces.storage.back();
      }
      [[fallthrough]];
    case Kind::kRegex:
      if (step.scanner) {
        for (size_t begin = 0; begin < piece.size();) {
          const size_t end = step.scanner(piece, begin);
          out.push_back(piece.substr(begin, end - begin));
          begin = end;
        }
        return {};
      }
      if (step.what.kind == Kind::kByteLevel) {
        out.push_back(piece);
        return {};
      }
      if (step.digits_one_by_one) {
        split_by_class(piece, step.what.behavior, false, is_number, out);
        return {};
      }
      return split_by_regex(step, piece, out);
    case Kind::kDigits:
      split_by_class(piece, Behavior::kIsolated, !step.what.individual, is_number, out);
      return {};
    case Kind::kWhitespace:
      split_whitespace(piece, out);
      return {};
    case Kind::kWhitespaceSplit:
      split_by_class(piece, Behavior::kRemoved, true, is_space, out);
      return {};
    case Kind::kPunctuation:
      split_by_class(piece, step.what.behavior, false, is_punctuation, out);
      return {};
    case Kind::kBert: {
      const size_t from = out.size();
      split_by_class(piece, Behavior::kRemoved, true, is_space, out);
      const std::vector<std::string_view> words(out.begin() + static_cast<ptrdiff_t>(from), out.end());
      out.resize(from);
      for (std::string_view word : words) split_by_class(word, Behavior::kIsolated, false, is_punctuation, out);
      return {};
    }
    case Kind::kMetaspace:
      split_metaspace(step.what, piece, first, pieces);
      return {};
    case Kind::kUnicodeScripts:
      break;
  }
  return error(StatusCode::kUnimplemented, "pre_tokenizer: unknown step");
}

Status PreTokenizer::split(std::string_view text, bool first, Pieces& pieces) const {
  pieces.views.clear();
  pieces.storage.clear();
  if (text.empty()) return {};
  pieces.views.push_back(text);
  for (const Step& step : steps_) {
    pieces.next.clear();
    for (size_t i = 0; i < pieces.views.size(); ++i) {
      CALLIE_RETURN_IF_ERROR(apply(step, pieces.views[i], first && i == 0, pieces));
    }
    std::swap(pieces.views, pieces.next);
  }
  return {};
}

}  // namespace callie
