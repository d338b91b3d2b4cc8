#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "tokenizer/vocabulary.h"

namespace callie {

struct EncodeOptions {
  bool parse_special = false;  ///< text such as "<|im_start|>" becomes the control token of that name
  bool add_special = false;    ///< adds BOS/EOS (or CLS/SEP) where the vocabulary asks for them
  bool lossy = false;          ///< bytes without a token are dropped instead of being an error
  bool first = true;           ///< the text begins a sequence (where SentencePiece puts its blank)
};

/// Text to token ids and back. Immutable after `create`; safe to use from several threads.
class Tokenizer {
 public:
  /// Errors: kDataLoss or kInvalidArgument (inconsistent sizes, ids out of range, a merge of unknown tokens: the
  /// message names the field), kUnimplemented (an unknown pre-tokenizer).
  static StatusOr<std::unique_ptr<Tokenizer>> create(Vocabulary vocabulary);
  ~Tokenizer();

  /// Ids of `text`, any bytes. Errors: kInvalidArgument names the byte for which there is no token and its place.
  StatusOr<std::vector<int32_t>> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The bytes that `id` stands for; empty for an id out of range. A control token's are its name.
  std::string_view token_bytes(int32_t id) const;

  struct DecodeOptions {
    bool skip_special = false;  ///< leaves control tokens out
    bool strip_prefix = true;   ///< takes away the blank that encode put before the text
  };
  /// The bytes of all ids, in order. Errors: kInvalidArgument names an id out of range.
  StatusOr<std::string> decode(std::span<const int32_t> ids, const DecodeOptions& options) const;
  StatusOr<std::string> decode(std::span<const int32_t> ids) const { return decode(ids, DecodeOptions()); }

  int vocab_size() const;
  /// Control tokens (BOS, <|im_start|>, …).
  bool is_special(int32_t id) const;
  /// Generation ends with this token: EOS, end of turn, end of message.
  bool is_end_of_generation(int32_t id) const;
  std::vector<int32_t> end_of_generation_ids() const;
  /// The id whose spelling in the vocabulary is `token`, or -1.
  int32_t token_id(std::string_view token) const;
  /// XXH64 over kind, tokens, types, merges or scores and the steps: two tokenizers with one hash give the same ids.
  uint64_t hash() const;

  /// What the tokenizer was made from; `tokens`, `merges` and `scores` have moved into tables and are empty.
  const Vocabulary& vocabulary() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace callie
