#pragma once

#include <cstddef>
#include <string_view>

namespace callie {

/// The end of the piece that begins at `begin` < text.size(); it is past `begin`. A scanner covers the whole text: every
/// byte belongs to one piece. Bytes that are not valid UTF-8 count as characters that are neither letter, number nor blank.
using Scanner = size_t (*)(std::string_view text, size_t begin);

/// The scanner that does exactly what `regex` does, or null. Known: the patterns of GPT-2, Llama 3, Qwen2 and Qwen3.5.
Scanner scanner_for(std::string_view regex);

namespace patterns {
inline constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}  // namespace patterns

}  // namespace callie
