#pragma once

#include <string_view>

#include "assertions/syntax/source.h"

namespace callie::assertions {

enum class TokenKind : uint8_t { kEnd, kName, kEscapedName, kKeyword, kSystem, kNumber, kString, kOp, kDirective };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Span span;              ///< in the user's text: of the macro's use when the token comes out of one
  std::string_view text;  ///< names without the backslash, strings without quotes
};

/// True for the reserved words of IEEE 1800-2017.
bool is_keyword(std::string_view word);

}  // namespace callie::assertions
