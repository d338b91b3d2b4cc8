#pragma once

#include <string>
#include <string_view>

namespace callie {

/// GPT-2's printable alphabet: each byte is a character; printable Latin-1 stands for itself, the others for U+0100 on.
/// False (and `out` unchanged) where `token` has a character outside of it.
bool decode_byte_alphabet(std::string_view token, std::string& out);
/// The bytes in that alphabet.
std::string encode_byte_alphabet(std::string_view bytes);

}  // namespace callie
