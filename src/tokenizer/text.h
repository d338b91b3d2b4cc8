#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace callie::text {

/// Classes of characters that pre-tokenizers ask for, as bits.
enum : uint8_t {
  kLetter = 1,    ///< \p{L}
  kNumber = 2,    ///< \p{N}
  kSpace = 4,     ///< \s (White_Space)
  kNewline = 8,   ///< CR or LF
  kMark = 16,     ///< \p{M}
  kPunctuation = 32,  ///< \p{P}
  kSymbol = 64,   ///< \p{S}
  kInvalid = 128, ///< a byte that is not part of valid UTF-8: a character of its own, of no class
};

struct Char {
  uint32_t code = 0;   ///< the byte's value where it is invalid
  uint32_t length = 1; ///< in bytes
  uint8_t classes = 0;
};

extern const uint8_t kAsciiClasses[128];

/// The character that begins at `p`, which is before `end`, not ASCII.
Char decode_wide(const uint8_t* p, const uint8_t* end);

/// The character that begins at `p`, which is before `end`.
inline Char decode(const uint8_t* p, const uint8_t* end) {
  if (*p < 0x80) return {*p, 1, kAsciiClasses[*p]};
  return decode_wide(p, end);
}

uint8_t classes_of(uint32_t code);
bool is_white_space(uint32_t code);
/// Bytes of the UTF-8 character at `p`, 0 when there is no valid one.
uint32_t valid_length(const uint8_t* p, const uint8_t* end);
/// The text is valid UTF-8 throughout.
bool is_valid(std::string_view text);
void append(std::string& out, uint32_t code);

inline const uint8_t* bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

/// U+2581, which stands for a blank in SentencePiece vocabularies.
inline constexpr std::string_view kBlankMark = "\xe2\x96\x81";

}  // namespace callie::text
