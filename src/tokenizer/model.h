#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "tokenizer/token_map.h"
#include "tokenizer/vocabulary.h"

namespace callie {

/// What the models need of a vocabulary, built by the tokenizer: the bytes of every token and who has which.
struct TokenTable {
  std::vector<std::string_view> bytes;  ///< by id; of kByteBpe with the printable alphabet undone
  TokenMap by_bytes;                    ///< tokens that plain text may become: not control, unknown or byte tokens
  int32_t byte_ids[256];                ///< tokens that stand for one byte (kByteBpe, kByte), or -1
};

/// Turns one piece of text into ids. Immutable; scratch memory lives in the call.
class TokenModel {
 public:
  virtual ~TokenModel() = default;

  struct Output {
    std::vector<int32_t> ids;
    bool lossy = false;
    int missing_byte = -1;            ///< the first byte without a token, where not lossy
    size_t missing_at = 0;            ///< its place in the piece
  };
  /// One piece and the memory that is kept between pieces of one text.
  class Session {
   public:
    virtual ~Session() = default;
    /// Appends the ids of `piece` to `out`. False: `out.missing_byte` says which byte has no token.
    virtual bool encode(std::string_view piece, Output& out) = 0;
  };
  virtual std::unique_ptr<Session> session() const = 0;
};

StatusOr<std::unique_ptr<TokenModel>> make_bpe(const Vocabulary& vocabulary, const TokenTable& table);
StatusOr<std::unique_ptr<TokenModel>> make_unigram(const Vocabulary& vocabulary, const TokenTable& table);
StatusOr<std::unique_ptr<TokenModel>> make_word_piece(const Vocabulary& vocabulary, const TokenTable& table);

}  // namespace callie
