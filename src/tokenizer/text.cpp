#include "tokenizer/text.h"

#include <utf8proc.h>

namespace callie::text {

#define P kPunctuation
#define S kSymbol
#define N kNumber
#define L kLetter
#define W kSpace
#define R kSpace | kNewline
const uint8_t kAsciiClasses[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, W, R, W, W, R, 0, 0,  //
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
    W, P, P, P, S, P, P, P, P, P, P, S, P, P, P, P,  //
    N, N, N, N, N, N, N, N, N, N, P, P, S, S, S, P,  //
    P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,  //
    L, L, L, L, L, L, L, L, L, L, L, P, P, P, S, P,  //
    S, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,  //
    L, L, L, L, L, L, L, L, L, L, L, P, S, P, S, 0,
};
#undef P
#undef S
#undef N
#undef L
#undef W
#undef R

bool is_white_space(uint32_t code) {
  if (code < 0x80) return kAsciiClasses[code] & kSpace;
  switch (code) {
    case 0x85:
    case 0xa0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202f:
    case 0x205f:
    case 0x3000:
      return true;
    default:
      return code >= 0x2000 && code <= 0x200a;
  }
}

uint8_t classes_of(uint32_t code) {
  if (code < 0x80) return kAsciiClasses[code];
  uint8_t classes = is_white_space(code) ? kSpace : 0;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return classes | kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return classes | kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return classes | kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return classes | kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return classes | kSymbol;
    default:
      return classes;
  }
}

uint32_t valid_length(const uint8_t* p, const uint8_t* end) {
  const uint8_t lead = *p;
  if (lead < 0x80) return 1;
  const auto tail = [&](int i) { return p + i < end && (p[i] & 0xc0) == 0x80; };
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return tail(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (!tail(1) || !tail(2)) return 0;
    if (lead == 0xe0 && p[1] < 0xa0) return 0;   // too long a form
    if (lead == 0xed && p[1] >= 0xa0) return 0;  // a surrogate
    return 3;
  }
  if (lead > 0xf4 || !tail(1) || !tail(2) || !tail(3)) return 0;
  if (lead == 0xf0 && p[1] < 0x90) return 0;
  if (lead == 0xf4 && p[1] >= 0x90) return 0;  // past U+10FFFF
  return 4;
}

Char decode_wide(const uint8_t* p, const uint8_t* end) {
  const uint32_t length = valid_length(p, end);
  uint32_t code = 0;
  switch (length) {
    case 2:
      code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
      break;
    case 3:
      code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
      break;
    case 4:
      code = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
      break;
    default:
      return {*p, 1, kInvalid};
  }
  return {code, length, classes_of(code)};
}

bool is_valid(std::string_view text) {
  const uint8_t* p = bytes(text);
  const uint8_t* const end = p + text.size();
  while (p < end) {
    const uint32_t length = valid_length(p, end);
    if (length == 0) return false;
    p += length;
  }
  return true;
}

void append(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

}  // namespace callie::text
