#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie {

/// What a token stands for; the values are GGUF's `tokenizer.ggml.token_type`.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,      ///< stands for text that has no token
  kControl = 3,      ///< special: matched in text only when asked for, skipped when text is shown
  kUserDefined = 4,  ///< always matched in text, before anything else
  kUnused = 5,
  kByte = 6,  ///< "<0xNN>", a byte of a SentencePiece vocabulary
};

/// One step of text normalization, in the terms of Hugging Face's `tokenizer.json`.
struct NormalizerStep {
  enum class Kind {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStripAccents,
    kStrip,         ///< `left`, `right`
    kPrepend,       ///< `content`, unless the text is empty
    kReplace,       ///< `pattern` (a regular expression when `is_regex`) by `content`
    kBert,          ///< `clean_text`, `chinese_chars`, `strip_accents`, `lowercase`
    kNmt,
    kPrecompiled,   ///< `content`: the character map of a SentencePiece model
  };
  Kind kind = Kind::kNfc;
  std::string pattern, content;
  bool is_regex = false;
  bool left = true, right = true;
  bool clean_text = true, chinese_chars = true, lowercase = true;
  std::optional<bool> strip_accents;  ///< kBert: as `lowercase` where it is not set
};

/// One step that cuts text into the pieces that are tokenized on their own.
struct PreTokenizerStep {
  enum class Kind {
    kRegex,             ///< `pattern` (literal unless `is_regex`), `behavior`, `invert`
    kByteLevel,         ///< GPT-2's bytes; `add_prefix_space`
    kDigits,            ///< `individual`
    kWhitespace,        ///< \w+|[^\w\s]+
    kWhitespaceSplit,   ///< at blanks, which go away
    kPunctuation,       ///< `behavior`
    kBert,              ///< at blanks, which go away, and around each punctuation mark
    kMetaspace,         ///< blanks become U+2581; `prepend`, `split`
    kUnicodeScripts,
  };
  enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
  enum class Prepend { kNever, kFirst, kAlways };
  Kind kind = Kind::kRegex;
  std::string pattern;
  bool is_regex = true;
  Behavior behavior = Behavior::kIsolated;
  bool invert = false;
  bool add_prefix_space = false;
  bool individual = false;
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};

/// How an added token (type kControl or kUserDefined) is looked for in text.
struct AddedToken {
  int32_t id = 0;
  bool single_word = false;  ///< only where no word character stands beside it
  bool lstrip = false;       ///< swallows the blanks before it
  bool rstrip = false;       ///< swallows the blanks after it
  bool normalized = false;   ///< looked for in the normalized text
};

/// A tokenizer as data: what a GGUF's metadata or a `tokenizer.json` says, before tables are built from it.
struct Vocabulary {
  enum class Kind { kByteBpe, kSentencePieceBpe, kUnigram, kWordPiece };
  Kind kind = Kind::kByteBpe;
  std::vector<std::string> tokens;  ///< by id, as the file spells them (kByteBpe: GPT-2's printable bytes)
  std::vector<float> scores;        ///< [tokens] or empty
  std::vector<TokenType> types;     ///< [tokens] or empty (all normal)
  /// "left right", best first. A kSentencePieceBpe vocabulary without merges joins by score.
  std::vector<std::string> merges;

  /// GGUF's name of the pre-tokenizer ("llama-bpe", "qwen2", …): `Tokenizer::create` looks it up with
  /// `pre_tokenizer_by_name` where it is not empty.
  std::string pre;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<AddedToken> added;  ///< flags of added tokens; one that is not listed has none

  std::optional<int32_t> bos, eos, eot, eom, unk, pad, sep, cls, mask;
  std::vector<int32_t> end_of_generation;  ///< beside eos, eot and eom
  bool add_bos = false, add_eos = false;   ///< what `EncodeOptions::add_special` adds (bos or cls; eos or sep)
  bool remove_extra_blanks = false;        ///< SentencePiece from GGUF: runs of blanks become one
  bool add_space_prefix = false;           ///< SentencePiece from GGUF: a blank goes before the text
  bool escape_blanks = false;              ///< SentencePiece from GGUF: blanks become U+2581
  bool byte_fallback = false;              ///< text without a token becomes kByte tokens
  bool ignore_merges = false;              ///< a piece that is itself a token is never cut
  bool fuse_unk = false;                   ///< neighbouring unknowns become one
  std::string continuing_prefix = "##";    ///< kWordPiece: spelling of a token inside a word
  /// kWordPiece from GGUF: tokens that begin a word carry U+2581, the others nothing.
  bool word_start_marks = false;
  int max_word_chars = 100;  ///< kWordPiece: a longer word is unknown

  std::string chat_template;  ///< Jinja source, empty where the file has none
};

/// Reads Hugging Face's `tokenizer.json`; `tokenizer_config_json` (may be empty) adds the names of the special tokens,
/// add_bos/add_eos and the chat template. Errors: kDataLoss names the field; kUnimplemented names a component that is
/// not supported.
StatusOr<Vocabulary> parse_tokenizer_json(std::string_view json, std::string_view tokenizer_config_json);

/// The bytes behind base64. Errors: kDataLoss.
StatusOr<std::string> decode_base64(std::string_view text);

/// What one of GGUF's `tokenizer.ggml.pre` names stands for.
struct PreTokenizerPreset {
  std::vector<PreTokenizerStep> steps;
  bool ignore_merges = false;
};
/// Errors: kUnimplemented for an unknown name.
StatusOr<PreTokenizerPreset> pre_tokenizer_by_name(std::string_view name);

}  // namespace callie
