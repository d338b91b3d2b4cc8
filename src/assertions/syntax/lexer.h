#pragma once

#include "assertions/syntax/token.h"

namespace callie::assertions {

/// Cuts one text into tokens, one call at a time. Comments and white space vanish; a directive (`name) is one token.
/// Throws SourceError on a character or literal that is none.
class Lexer {
 public:
  /// Spans point into `file`; with `fixed` they are all `at` (text that came out of a macro).
  Lexer(std::string_view text, uint32_t file) : text_(text), at_{file, 0, 0} {}
  Lexer(std::string_view text, Span at) : text_(text), at_(at), fixed_(true) {}

  Token next();

  std::string_view text() const { return text_; }
  size_t position() const { return position_; }
  void seek(size_t position) { position_ = position; }
  Span span(size_t begin, size_t end) const;
  /// Moves past white space and comments.
  void skip_blank();

 private:
  Token number(size_t begin);
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }

  std::string_view text_;
  size_t position_ = 0;
  Span at_;
  bool fixed_ = false;
};

bool is_name_start(char c);
bool is_name_char(char c);

}  // namespace callie::assertions
