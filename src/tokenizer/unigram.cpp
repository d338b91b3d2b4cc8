#include <algorithm>
#include <limits>

#include "tokenizer/model.h"
#include "tokenizer/text.h"
#include "tokenizer/trie.h"
#include "tokenizer/word_cache.h"

namespace callie {
namespace {

/// How much worse than the worst token an unknown character is.
constexpr double kUnknownPenalty = 10.0;

/// SentencePiece's unigram model: the cut with the largest sum of scores (Viterbi). As in Hugging Face's, and unlike
/// SentencePiece's own, the names of control tokens ("<s>", "<unk>") are tokens like any other.
class Unigram : public TokenModel {
 public:
  explicit Unigram(const TokenTable& table) : table_(table) {}

  Status build(const Vocabulary& vocabulary) {
    if (vocabulary.scores.size() != vocabulary.tokens.size()) {
      return data_loss("tokenizer.scores: {} for {} tokens", vocabulary.scores.size(), vocabulary.tokens.size());
    }
    scores_.assign(vocabulary.scores.begin(), vocabulary.scores.end());
    unk_ = vocabulary.unk.value_or(-1);
    byte_fallback_ = vocabulary.byte_fallback;
    size_t bytes = 0;
    for (std::string_view token : table_.bytes) bytes += token.size();
    trie_.reserve(bytes);
    double worst = 0;
    bool any = false;
    for (size_t i = 0; i < table_.bytes.size(); ++i) {
      const TokenType type = vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[i];
      worst = any ? std::min(worst, scores_[i]) : scores_[i];
      any = true;
      if (type == TokenType::kByte) continue;
      trie_.insert(table_.bytes[i], static_cast<int32_t>(i));
    }
    unknown_score_ = worst - kUnknownPenalty;
    return {};
  }

  struct Node {
    double score = -std::numeric_limits<double>::infinity();
    uint32_t from = 0;
    int32_t id = -1;
    bool reached = false;
  };

  bool encode_piece(std::string_view piece, std::vector<Node>& nodes, Output& out) const {
    nodes.assign(piece.size() + 1, Node());
    nodes[0].score = 0;
    nodes[0].reached = true;
    const uint8_t* const base = text::bytes(piece);
    const uint8_t* const end = base + piece.size();
    for (size_t at = 0; at < piece.size();) {
      uint32_t length = text::valid_length(base + at, end);
      if (length == 0) length = 1;
      const double score = nodes[at].score;
      bool single = false;
      const auto offer = [&](size_t to, double total, int32_t id) {
        Node& node = nodes[to];
        if (node.reached && !(total > node.score)) return;
        node = {total, static_cast<uint32_t>(at), id, true};
      };
      trie_.prefixes(piece.substr(at), [&](size_t size, int32_t id) {
        offer(at + size, score + scores_[static_cast<size_t>(id)], id);
        single = single || size == length;
      });
      if (!single) offer(at + length, score + unknown_score_, -1);
      at += length;
    }
    const size_t first = out.ids.size();
    for (size_t at = piece.size(); at > 0;) {
      const Node node = nodes[at];
      if (node.id >= 0) {
        out.ids.push_back(node.id);
        at = node.from;
        continue;
      }
      size_t begin = node.from;  // unknown characters in a row are one unknown
      while (begin > 0 && nodes[begin].id < 0) begin = nodes[begin].from;
      if (!emit_unknown(piece.substr(begin, at - begin), out)) {
        out.missing_at += begin;
        return false;
      }
      at = begin;
    }
    std::reverse(out.ids.begin() + static_cast<ptrdiff_t>(first), out.ids.end());
    return true;
  }

  std::unique_ptr<Session> session() const override;

 private:
  /// Backwards, as the ids are gathered.
  bool emit_unknown(std::string_view text, Output& out) const {
    int missing = -1;
    if (byte_fallback_ || unk_ < 0) {
      for (size_t i = text.size(); i-- > 0;) {
        if (table_.byte_ids[static_cast<uint8_t>(text[i])] < 0) missing = static_cast<int>(i);
      }
      if (missing < 0) {
        for (size_t i = text.size(); i-- > 0;) out.ids.push_back(table_.byte_ids[static_cast<uint8_t>(text[i])]);
        return true;
      }
    }
    if (unk_ >= 0) {
      out.ids.push_back(unk_);
      return true;
    }
    if (out.lossy) return true;
    out.missing_at = static_cast<size_t>(missing);
    out.missing_byte = static_cast<uint8_t>(text[out.missing_at]);
    return false;
  }

  const TokenTable& table_;
  std::vector<double> scores_;
  Trie trie_;
  double unknown_score_ = 0;
  int32_t unk_ = -1;
  bool byte_fallback_ = false;
};

class UnigramSession : public TokenModel::Session {
 public:
  explicit UnigramSession(const Unigram& model) : model_(model) {}
  bool encode(std::string_view piece, TokenModel::Output& out) override {
    const uint64_t hash = hash_bytes(piece);
    size_t count = 0;
    if (const int32_t* ids = cache_.find(piece, hash, count)) {
      out.ids.insert(out.ids.end(), ids, ids + count);
      return true;
    }
    const size_t before = out.ids.size();
    if (!model_.encode_piece(piece, nodes_, out)) return false;
    cache_.put(piece, hash, out.ids.data() + before, out.ids.size() - before);
    return true;
  }

 private:
  const Unigram& model_;
  WordCache cache_;
  std::vector<Unigram::Node> nodes_;
};

std::unique_ptr<TokenModel::Session> Unigram::session() const { return std::make_unique<UnigramSession>(*this); }

}  // namespace

StatusOr<std::unique_ptr<TokenModel>> make_unigram(const Vocabulary& vocabulary, const TokenTable& table) {
  auto model = std::make_unique<Unigram>(table);
  CALLIE_RETURN_IF_ERROR(model->build(vocabulary));
  return std::unique_ptr<TokenModel>(std::move(model));
}

}  // namespace callie
