#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "tokenizer/text.h"

namespace callie {
namespace {

struct Alphabet {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, 0x144> byte{};

  Alphabet() {
    byte.fill(-1);
    uint16_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      character[static_cast<size_t>(b)] = printable ? static_cast<uint16_t>(b) : next++;
      byte[character[static_cast<size_t>(b)]] = static_cast<int16_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

}  // namespace

bool decode_byte_alphabet(std::string_view token, std::string& out) {
  const Alphabet& table = alphabet();
  const size_t before = out.size();
  const uint8_t* const end = text::bytes(token) + token.size();
  for (const uint8_t* p = text::bytes(token); p < end;) {
    uint32_t code = *p;
    uint32_t length = 1;
    if (code >= 0x80) {
      length = text::valid_length(p, end);
      code = length == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu) : 0xffff;
    }
    if (code >= table.byte.size() || table.byte[code] < 0) {
      out.resize(before);
      return false;
    }
    out += static_cast<char>(table.byte[code]);
    p += length;
  }
  return true;
}

std::string encode_byte_alphabet(std::string_view bytes) {
  std::string out;
  for (char c : bytes) text::append(out, alphabet().character[static_cast<uint8_t>(c)]);
  return out;
}

}  // namespace callie
