#pragma once

#include <string>
#include <string_view>

#include "assertions/dataset/pair.h"

namespace callie::assertions {

/// 16 hexadecimal digits.
std::string hex_hash(std::string_view text);
/// The text with names replaced by their order of first use, literals collapsed and layout dropped: two snippets are
/// alpha-equal when these are equal. Text that cannot be cut into tokens is returned as it is.
std::string alpha_text(std::string_view code);
int count_tokens(std::string_view code);

}  // namespace callie::assertions
