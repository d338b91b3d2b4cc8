#include "assertions/syntax/parser_impl.h"

/// Literals.
namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;

namespace {

constexpr int kMaxLiteralBits = 65536;

void set_bit(std::vector<uint64_t>& words, int i) { words[i / 64] |= uint64_t{1} << (i % 64); }

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c == 'x' || c == 'X') return 16;
  if (c == 'z' || c == 'Z' || c == '?') return 17;
  return -1;
}

// A decimal text times ten plus a digit, over as many words as it needs.
bool decimal(std::string_view digits, std::vector<uint64_t>& words) {
  for (char c : digits) {
    if (c == '_') continue;
    if (c < '0' || c > '9') return false;
    unsigned __int128 carry = static_cast<unsigned>(c - '0');
    for (uint64_t& word : words) {
      carry += static_cast<unsigned __int128>(word) * 10;
      word = static_cast<uint64_t>(carry);
      carry >>= 64;
    }
    if (carry) words.push_back(static_cast<uint64_t>(carry));
    if (words.size() * 64 > kMaxLiteralBits + 64) return false;
  }
  return true;
}

}  // namespace

Expr Parser::parse_number() {
  const size_t begin = position_;
  std::string text(advance().text);
  const Span span = tokens_[begin].span;
  // A size that came out of a macro stands in a token of its own.
  if (peek().kind == TokenKind::kNumber && peek().text.size() > 1 && peek().text[0] == '\'' &&
      std::string_view("sSbBoOdDhH").find(peek().text[1]) != std::string_view::npos &&
      text.find('\'') == std::string::npos) {
    text += advance().text;
  }
  Expr out;
  out.kind = ExprKind::kNumber;
  out.span = since(begin);
  ast::Number number;
  const size_t quote = text.find('\'');
  std::erase(text, '_');
  if (quote == std::string::npos) {
    if (text.find('.') != std::string::npos) fail(span, "real numbers are not part of the subset");
    std::vector<uint64_t> words{0};
    if (!decimal(text, words)) fail(span, fmt::format("malformed number '{}'", text.substr(0, 40)));
    number.width = 32;
    if (words.size() > 1 || words[0] >> 32) fail(span, "an unsized number needs more than 32 bits");
    number.value = std::move(words);
    number.unknown.assign(1, 0);
    out.number = std::move(number);
    return out;
  }
  const size_t at_quote = text.find('\'');
  std::string_view rest = std::string_view(text).substr(at_quote + 1);
  if (at_quote == 0 && rest.size() == 1 && std::string_view("01xXzZ?").find(rest[0]) != std::string_view::npos) {
    number.fill = true;
    number.width = 1;
    number.is_signed = false;
    number.base = 'b';
    const int value = digit_value(rest[0]);
    number.value.assign(1, value == 1 || value == 17);
    number.unknown.assign(1, value >= 16);
    out.number = std::move(number);
    return out;
  }
  number.is_signed = false;
  if (!rest.empty() && (rest[0] == 's' || rest[0] == 'S')) {
    number.is_signed = true;
    rest.remove_prefix(1);
  }
  number.base = rest.empty() ? 'd' : static_cast<char>(rest[0] | 32);
  if (!rest.empty()) rest.remove_prefix(1);
  while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r')) rest.remove_prefix(1);
  number.width = 32;
  std::string size_text = text.substr(0, at_quote);
  while (!size_text.empty() && (size_text.back() < '0' || size_text.back() > '9')) size_text.pop_back();
  if (!size_text.empty()) {
    std::vector<uint64_t> words{0};
    if (!decimal(size_text, words)) fail(span, fmt::format("malformed size '{}'", size_text.substr(0, 40)));
    if (words.size() > 1 || words[0] == 0 || words[0] > kMaxLiteralBits) {
      fail(span, fmt::format("a literal has 1 to {} bits", kMaxLiteralBits));
    }
    number.width = static_cast<int>(words[0]);
    number.sized = true;
  }
  if (rest.empty()) fail(span, "number without digits");
  const size_t words = (number.width + 63) / 64;
  number.value.assign(words, 0);
  number.unknown.assign(words, 0);
  if (number.base == 'd') {
    const int first = digit_value(rest[0]);
    if (rest.size() == 1 && first >= 16) {
      for (int i = 0; i < number.width; ++i) {
        set_bit(number.unknown, i);
        if (first == 17) set_bit(number.value, i);
      }
    } else {
      std::vector<uint64_t> value{0};
      if (!decimal(rest, value)) fail(span, fmt::format("malformed decimal number '{}'", text.substr(0, 40)));
      value.resize(words, 0);
      if (number.width % 64) value.back() &= (uint64_t{1} << (number.width % 64)) - 1;
      number.value = std::move(value);
    }
  } else {
    const int per_digit = number.base == 'b' ? 1 : number.base == 'o' ? 3 : 4;
    int bit = 0;
    int last = 0;
    for (auto it = rest.rbegin(); it != rest.rend(); ++it) {
      const int value = digit_value(*it);
      if (value < 0 || (value < 16 && value >= 1 << per_digit)) {
        fail(span, fmt::format("'{}' is not a digit of base {}", *it, number.base == 'b' ? 2 : number.base == 'o' ? 8 : 16));
      }
      for (int i = 0; i < per_digit; ++i, ++bit) {
        if (bit >= number.width) continue;
        if (value >= 16) set_bit(number.unknown, bit);
        if (value == 17 || (value < 16 && (value >> i & 1))) set_bit(number.value, bit);
      }
      last = value;
    }
    for (; last >= 16 && bit < number.width; ++bit) {  // a leading x or z fills up
      set_bit(number.unknown, bit);
      if (last == 17) set_bit(number.value, bit);
    }
  }
  out.number = std::move(number);
  return out;
}

}  // namespace callie::assertions
