#include "assertions/syntax/lexer.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace callie::assertions {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Longest first within each first character is not needed: all are tried from the longest length down.
constexpr std::array<std::string_view, 7> kOps4{"<<<=", ">>>=", "|->", "|=>", "#-#", "#=#", "->>"};
constexpr std::array<std::string_view, 13> kOps3{"<<<", ">>>", "===", "!==", "==?", "!=?", "<->",
                                                 "<<=", ">>=", "&&&", "**=", "...", "+=:"};
constexpr std::array<std::string_view, 37> kOps2{
    "==", "!=", "<=", ">=", "&&", "||", "<<", ">>", "->", "**", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++",
    "--", "+:", "-:", "::", "##", "~&", "~|", "~^", "^~", "'{", "=>", ":=", ":/", "//", "/*", "*/", "$$", "@@"};

}  // namespace

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_char(char c) { return is_name_start(c) || is_digit(c) || c == '$'; }

bool is_keyword(std::string_view word) {
  static const std::unordered_set<std::string_view> kWords{
      "accept_on", "alias", "always", "always_comb", "always_ff", "always_latch", "and", "assert", "assign", "assume",
      "automatic", "before", "begin", "bind", "bins", "binsof", "bit", "break", "buf", "bufif0", "bufif1", "byte",
      "case", "casex", "casez", "cell", "chandle", "checker", "class", "clocking", "cmos", "config", "const",
      "constraint", "context", "continue", "cover", "covergroup", "coverpoint", "cross", "deassign", "default",
      "defparam", "design", "disable", "dist", "do", "edge", "else", "end", "endcase", "endchecker", "endclass",
      "endclocking", "endconfig", "endfunction", "endgenerate", "endgroup", "endinterface", "endmodule", "endpackage",
      "endprimitive", "endprogram", "endproperty", "endspecify", "endsequence", "endtable", "endtask", "enum", "event",
      "eventually", "expect", "export", "extends", "extern", "final", "first_match", "for", "force", "foreach",
      "forever", "fork", "forkjoin", "function", "generate", "genvar", "global", "highz0", "highz1", "if", "iff",
      "ifnone", "ignore_bins", "illegal_bins", "implements", "implies", "import", "incdir", "include", "initial",
      "inout", "input", "inside", "instance", "int", "integer", "interconnect", "interface", "intersect", "join",
      "join_any", "join_none", "large", "let", "liblist", "library", "local", "localparam", "logic", "longint",
      "macromodule", "matches", "medium", "modport", "module", "nand", "negedge", "nettype", "new", "nexttime", "nmos",
      "nor", "noshowcancelled", "not", "notif0", "notif1", "null", "or", "output", "package", "packed", "parameter",
      "pmos", "posedge", "primitive", "priority", "program", "property", "protected", "pull0", "pull1", "pulldown",
      "pullup", "pulsestyle_ondetect", "pulsestyle_onevent", "pure", "rand", "randc", "randcase", "randsequence",
      "rcmos", "real", "realtime", "ref", "reg", "reject_on", "release", "repeat", "restrict", "return", "rnmos",
      "rpmos", "rtran", "rtranif0", "rtranif1", "s_always", "s_eventually", "s_nexttime", "s_until", "s_until_with",
      "scalared", "sequence", "shortint", "shortreal", "showcancelled", "signed", "small", "soft", "solve", "specify",
      "specparam", "static", "string", "strong", "strong0", "strong1", "struct", "super", "supply0", "supply1",
      "sync_accept_on", "sync_reject_on", "table", "tagged", "task", "this", "throughout", "time", "timeprecision",
      "timeunit", "tran", "tranif0", "tranif1", "tri", "tri0", "tri1", "triand", "trior", "trireg", "type", "typedef",
      "union", "unique", "unique0", "unsigned", "until", "until_with", "untyped", "use", "uwire", "var", "vectored",
      "virtual", "void", "wait", "wait_order", "wand", "weak", "weak0", "weak1", "while", "wildcard", "wire", "with",
      "within", "wor", "xnor", "xor"};
  return kWords.contains(word);
}

Span Lexer::span(size_t begin, size_t end) const {
  if (fixed_) return at_;
  return {at_.file, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
}

void Lexer::skip_blank() {
  for (;;) {
    while (position_ < text_.size() && is_space(text_[position_])) ++position_;
    if (peek() != '/') return;
    if (peek(1) == '/') {
      const size_t end = text_.find('\n', position_);
      position_ = end == std::string_view::npos ? text_.size() : end;
    } else if (peek(1) == '*') {
      const size_t end = text_.find("*/", position_ + 2);
      if (end == std::string_view::npos) {
        throw SourceError{span(position_, position_ + 2), "comment without an end"};
      }
      position_ = end + 2;
    } else {
      return;
    }
  }
}

Token Lexer::number(size_t begin) {
  while (is_digit(peek()) || peek() == '_') ++position_;
  size_t after = position_;
  while (after < text_.size() && is_space(text_[after])) ++after;
  const auto at = [&](size_t i) { return i < text_.size() ? text_[i] : '\0'; };
  const auto is_base = [](char c) { return std::string_view("bBoOdDhH").find(c) != std::string_view::npos && c; };
  if (at(after) == '\'') {
    size_t i = after + 1;
    const bool is_signed = at(i) == 's' || at(i) == 'S';
    if (is_signed) ++i;
    if (is_signed && !is_base(at(i))) throw SourceError{span(begin, i), "number without a base"};
    if (is_base(at(i))) {
      ++i;
      while (i < text_.size() && is_space(text_[i])) ++i;
      const size_t digits = i;
      while (i < text_.size() && (is_name_char(text_[i]) || text_[i] == '?') && text_[i] != '$') ++i;
      if (i == digits) throw SourceError{span(begin, i), "number without digits"};
      position_ = i;
      return {TokenKind::kNumber, span(begin, i), text_.substr(begin, i - begin)};
    }
  } else if (peek() == '.' && is_digit(peek(1))) {
    ++position_;
    while (is_digit(peek()) || peek() == '_') ++position_;
    if (peek() == 'e' || peek() == 'E') {
      ++position_;
      if (peek() == '+' || peek() == '-') ++position_;
      while (is_digit(peek())) ++position_;
    }
  }
  while (is_name_start(peek())) ++position_;  // time units and mistakes; the parser names them
  return {TokenKind::kNumber, span(begin, position_), text_.substr(begin, position_ - begin)};
}

Token Lexer::next() {
  skip_blank();
  const size_t begin = position_;
  if (begin >= text_.size()) return {TokenKind::kEnd, span(begin, begin), {}};
  const char c = text_[begin];
  const auto token = [&](TokenKind kind) {
    return Token{kind, span(begin, position_), text_.substr(begin, position_ - begin)};
  };
  if (is_name_start(c)) {
    while (is_name_char(peek())) ++position_;
    Token out = token(TokenKind::kName);
    if (is_keyword(out.text)) out.kind = TokenKind::kKeyword;
    return out;
  }
  if (is_digit(c)) return number(begin);
  if (c == '\'') {
    const char n = peek(1);
    if (n == 's' || n == 'S' || (n && std::string_view("bBoOdDhH").find(n) != std::string_view::npos)) {
      return number(begin);
    }
    if (n && std::string_view("01xXzZ?").find(n) != std::string_view::npos && !is_name_char(peek(2))) {
      position_ += 2;
      return token(TokenKind::kNumber);
    }
    position_ += n == '{' ? 2 : 1;
    return token(TokenKind::kOp);
  }
  if (c == '"') {
    ++position_;
    while (position_ < text_.size() && peek() != '"' && peek() != '\n') position_ += peek() == '\\' ? 2 : 1;
    if (peek() != '"') throw SourceError{span(begin, begin + 1), "string without an end"};
    ++position_;
    return {TokenKind::kString, span(begin, position_), text_.substr(begin + 1, position_ - begin - 2)};
  }
  if (c == '\\') {
    ++position_;
    while (position_ < text_.size() && !is_space(text_[position_])) ++position_;
    if (position_ == begin + 1) throw SourceError{span(begin, begin + 1), "stray \\"};
    return {TokenKind::kEscapedName, span(begin, position_), text_.substr(begin + 1, position_ - begin - 1)};
  }
  if ((c == '$' || c == '`') && (is_name_start(peek(1)) || peek(1) == '\\')) {
    ++position_;
    if (peek() == '\\') ++position_;
    while (is_name_char(peek())) ++position_;
    return token(c == '$' ? TokenKind::kSystem : TokenKind::kDirective);
  }
  const std::string_view rest = text_.substr(begin, 4);
  const auto starts = [&](std::string_view op) { return rest.substr(0, op.size()) == op; };
  size_t length = 1;
  if (const auto it = std::find_if(kOps4.begin(), kOps4.end(), starts); it != kOps4.end()) {
    length = it->size();
  } else if (std::any_of(kOps3.begin(), kOps3.end(), starts)) {
    length = 3;
  } else if (std::any_of(kOps2.begin(), kOps2.end(), starts)) {
    length = 2;
  } else if (std::string_view("+-*/%&|^~!<>=?:;,.()[]{}@#$").find(c) == std::string_view::npos) {
    position_ += 1;
    if (static_cast<unsigned char>(c) >= 128) {
      throw SourceError{span(begin, begin + 1), "character outside of ASCII"};
    }
    throw SourceError{span(begin, begin + 1), fmt::format("unexpected character '{}'", c >= 32 ? c : '?')};
  }
  position_ += length;
  return token(TokenKind::kOp);
}

}  // namespace callie::assertions
