#include "tokenizer/model.h"
#include "tokenizer/text.h"
#include "tokenizer/word_cache.h"

namespace callie {
namespace {

/// BERT's model: the longest token that begins the word, then the longest that goes on from there; a word of which some
/// part has no token is unknown as a whole.
class WordPiece : public TokenModel {
 public:
  explicit WordPiece(const Vocabulary& vocabulary) : max_chars_(vocabulary.max_word_chars) {}

  Status build(const Vocabulary& vocabulary, const TokenTable& table) {
    unk_ = vocabulary.unk.value_or(-1);
    begins_.reserve(table.bytes.size());
    continues_.reserve(table.bytes.size());
    for (size_t i = 0; i < table.bytes.size(); ++i) {
      std::string_view token = table.bytes[i];
      bool begins = true;
      if (vocabulary.word_start_marks) {
        begins = token.starts_with(text::kBlankMark);
        if (begins) token.remove_prefix(text::kBlankMark.size());
      } else if (token.starts_with(vocabulary.continuing_prefix) && token != vocabulary.continuing_prefix) {
        begins = false;
        token.remove_prefix(vocabulary.continuing_prefix.size());
      }
      const TokenType type = vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[i];
      if (type == TokenType::kControl || type == TokenType::kUnknown || token.empty()) continue;
      longest_ = std::max(longest_, token.size());
      (begins ? begins_ : continues_).insert(token, static_cast<int32_t>(i));
    }
    return {};
  }

  bool encode_piece(std::string_view piece, Output& out) const {
    const uint8_t* const base = text::bytes(piece);
    const uint8_t* const end = base + piece.size();
    int chars = 0;
    for (const uint8_t* p = base; p < end; ++chars) {
      const uint32_t length = text::valid_length(p, end);
      p += length ? length : 1;
    }
    const size_t before = out.ids.size();
    bool known = chars <= max_chars_;
    for (size_t begin = 0; known && begin < piece.size();) {
      const TokenMap& map = begin == 0 ? begins_ : continues_;
      int32_t id = -1;
      size_t size = std::min(piece.size() - begin, longest_);
      for (; size > 0; --size) {
        const size_t stop = begin + size;
        if (stop < piece.size() && (static_cast<uint8_t>(piece[stop]) & 0xc0) == 0x80) continue;
        if ((id = map.find(piece.substr(begin, size))) >= 0) break;
      }
      known = id >= 0;
      if (known) out.ids.push_back(id);
      begin += size;
    }
    if (known) return true;
    out.ids.resize(before);
    if (unk_ >= 0) {
      out.ids.push_back(unk_);
    } else if (!out.lossy) {
      out.missing_byte = static_cast<uint8_t>(piece[0]);
      return false;
    }
    return true;
  }

  std::unique_ptr<Session> session() const override;

 private:
  TokenMap begins_, continues_;
  size_t longest_ = 0;
  int32_t unk_ = -1;
  int max_chars_;
};

class WordPieceSession : public TokenModel::Session {
 public:
  explicit WordPieceSession(const WordPiece& model) : model_(model) {}
  bool encode(std::string_view piece, TokenModel::Output& out) override {
    const uint64_t hash = hash_bytes(piece);
    size_t count = 0;
    if (const int32_t* ids = cache_.find(piece, hash, count)) {
      out.ids.insert(out.ids.end(), ids, ids + count);
      return true;
    }
    const size_t before = out.ids.size();
    if (!model_.encode_piece(piece, out)) return false;
    cache_.put(piece, hash, out.ids.data() + before, out.ids.size() - before);
    return true;
  }

 private:
  const WordPiece& model_;
  WordCache cache_;
};

std::unique_ptr<TokenModel::Session> WordPiece::session() const { return std::make_unique<WordPieceSession>(*this); }

}  // namespace

StatusOr<std::unique_ptr<TokenModel>> make_word_piece(const Vocabulary& vocabulary, const TokenTable& table) {
  auto model = std::make_unique<WordPiece>(vocabulary);
  CALLIE_RETURN_IF_ERROR(model->build(vocabulary, table));
  return std::unique_ptr<TokenModel>(std::move(model));
}

}  // namespace callie
