#include "io/quote.h"

#include <fmt/format.h>

namespace callie::io {
namespace {

/// Length of the well-formed UTF-8 sequence at the start of `text`; 0 when there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                        : lead >= 0xE0 && lead < 0xF0 ? 3
                        : lead >= 0xF0 && lead < 0xF5 ? 4
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and values past U+10FFFF show in the second byte.
  const unsigned char second = byte(1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second >= 0xA0) ||
      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)) {
    return 0;
  }
  return length;
}

}  // namespace

std::string quote(std::string_view name, size_t max_bytes) {
  std::string text = "'";
  size_t i = 0;
  while (i < name.size() && i < max_bytes) {
    const auto byte = static_cast<unsigned char>(name[i]);
    const size_t length = utf8_length(name.substr(i));
    const bool c1_control =
        length == 2 && byte == 0xC2 && static_cast<unsigned char>(name[i + 1]) < 0xA0;
    if (length == 0 || byte < 0x20 || byte == 0x7F || c1_control) {
      text += fmt::format("\\x{:02x}", byte);
      ++i;
    } else {
      text += name.substr(i, length);
      i += length;
    }
  }
  text += i < name.size() ? "…'" : "'";
  return text;
}

}  // namespace callie::io
