#include "assertions/dataset/hash.h"

#include <map>

#include "assertions/syntax/lexer.h"
#include "core/hash.h"

namespace callie::assertions {

std::string hex_hash(std::string_view text) {
  return fmt::format("{:016x}", xxh64({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
}

std::string alpha_text(std::string_view code) {
  std::string out;
  std::map<std::string, size_t, std::less<>> names;
  try {
    Lexer lexer(code, 0);
    for (Token token = lexer.next(); token.kind != TokenKind::kEnd; token = lexer.next()) {
      if (token.kind == TokenKind::kName || token.kind == TokenKind::kEscapedName) {
        out += fmt::format("v{} ", names.emplace(token.text, names.size()).first->second);
      } else if (token.kind == TokenKind::kNumber) {
        out += "0 ";
      } else {
        out += fmt::format("{} ", token.text);
      }
    }
  } catch (const SourceError&) {
    return std::string(code);
  }
  return out;
}

int count_tokens(std::string_view code) {
  int out = 0;
  try {
    Lexer lexer(code, 0);
    while (lexer.next().kind != TokenKind::kEnd) ++out;
  } catch (const SourceError&) {
  }
  return out;
}

}  // namespace callie::assertions
