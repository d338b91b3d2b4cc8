#include <algorithm>
#include <atomic>
#include <bitset>
#include <cstring>
#include <queue>

#include "tokenizer/model.h"
#include "tokenizer/text.h"
#include "tokenizer/word_cache.h"

namespace callie {
namespace {

struct Symbol {
  uint32_t begin = 0, size = 0;  // of the piece; size 0: joined to its left neighbour
  int32_t id = -1;               // -1: text that is not a token
  int32_t previous = -1, next = -1;
};

/// A join that may be done; the smallest rank goes first, then the leftmost.
struct Candidate {
  int32_t rank, left, id;
  uint32_t size;  // of both symbols together: a candidate of which one has changed since is stale
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

/// Joins by the list of merges.
struct ByMerges {
  const PairMap* pairs;
  PairMap::Join operator()(std::string_view, const Symbol& left, const Symbol& right) const {
    if (left.id < 0 || right.id < 0) return {};
    return pairs->find(left.id, right.id);
  }
};

/// Joins whatever is a token, best score first.
struct ByScores {
  const TokenMap* tokens;
  const std::vector<int32_t>* ranks;
  PairMap::Join operator()(std::string_view piece, const Symbol& left, const Symbol& right) const {
    const int32_t id = tokens->find(piece.substr(left.begin, left.size + right.size));
    return id < 0 ? PairMap::Join{} : PairMap::Join{(*ranks)[static_cast<size_t>(id)], id};
  }
};

/// A float's order, reversed, as an integer.
int32_t rank_of_score(float score) {
  int32_t bits;
  if (score == 0.0f) score = 0.0f;  // one zero
  std::memcpy(&bits, &score, 4);
  const int32_t ascending = bits < 0 ? ~(bits & 0x7fffffff) : bits;
  // Not negative, since a negative rank means "no join": half of the resolution is more than any vocabulary has.
  return static_cast<int32_t>((static_cast<uint32_t>(~ascending) ^ 0x80000000u) >> 1);
}

/// Joins neighbours until none can be joined. Short pieces: look for the best pair each time.
template <typename Joiner>
void join_short(std::string_view piece, std::vector<Symbol>& symbols, const Joiner& join) {
  PairMap::Join joins[32];
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) joins[i] = join(piece, symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = count;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (joins[i].rank >= 0 && (best == count || joins[i].rank < joins[best].rank)) best = i;
    }
    if (best == count) break;
    symbols[best].size += symbols[best + 1].size;
    symbols[best].id = joins[best].id;
    --count;
    for (size_t i = best + 1; i < count; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best + 1; i + 1 < count; ++i) joins[i] = joins[i + 1];
    if (best + 1 < count) joins[best] = join(piece, symbols[best], symbols[best + 1]);
    if (best > 0) joins[best - 1] = join(piece, symbols[best - 1], symbols[best]);
  }
  symbols.resize(count);
}

/// The same for long pieces, by a priority queue: O(n log n).
template <typename Joiner>
void join_long(std::string_view piece, std::vector<Symbol>& symbols, const Joiner& join) {
  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  const auto candidate = [&](int32_t left) -> bool {
    const int32_t right = symbols[static_cast<size_t>(left)].next;
    if (right < 0) return false;
    const Symbol &a = symbols[static_cast<size_t>(left)], &b = symbols[static_cast<size_t>(right)];
    const PairMap::Join found = join(piece, a, b);
    if (found.rank < 0) return false;
    storage.push_back({found.rank, left, found.id, a.size + b.size});
    return true;
  };
  const int32_t count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
  for (int32_t i = 0; i + 1 < count; ++i) candidate(i);
  std::make_heap(storage.begin(), storage.end());
  while (!storage.empty()) {
    std::pop_heap(storage.begin(), storage.end());
    const Candidate top = storage.back();
    storage.pop_back();
    Symbol& left = symbols[static_cast<size_t>(top.left)];
    if (left.size == 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (left.size + right.size != top.size) continue;
    left.size = top.size;
    left.id = top.id;
    right.size = 0;
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<size_t>(right.next)].previous = top.left;
    if (candidate(top.left)) std::push_heap(storage.begin(), storage.end());
    if (left.previous >= 0 && candidate(left.previous)) std::push_heap(storage.begin(), storage.end());
  }
  std::erase_if(symbols, [](const Symbol& symbol) { return symbol.size == 0; });
}

class Bpe : public TokenModel {
 public:
  Bpe(const Vocabulary& vocabulary, const TokenTable& table)
      : table_(table),
        byte_level_(vocabulary.kind == Vocabulary::Kind::kByteBpe),
        ignore_merges_(vocabulary.ignore_merges),
        byte_fallback_(vocabulary.byte_fallback),
        fuse_unk_(vocabulary.fuse_unk),
        unk_(vocabulary.unk.value_or(-1)),
        whole_(std::make_unique<std::atomic<uint8_t>[]>(table.bytes.size())) {}

  Status build(const Vocabulary& vocabulary) {
    if (vocabulary.merges.empty() && !byte_level_) {
      if (vocabulary.scores.size() != vocabulary.tokens.size()) {
        return data_loss("tokenizer.scores: {} for {} tokens", vocabulary.scores.size(), vocabulary.tokens.size());
      }
      ranks_.reserve(vocabulary.scores.size());
      for (float score : vocabulary.scores) ranks_.push_back(rank_of_score(score));
    } else {
      CALLIE_RETURN_IF_ERROR(read_merges(vocabulary));
    }
    if (!byte_level_) find_safe_cuts();
    return {};
  }

  std::unique_ptr<Session> session() const override;

  bool encode_piece(std::string_view piece, WordCache& cache, std::vector<Symbol>& symbols, Output& out) const {
    const uint64_t hash = hash_bytes(piece);
    const int32_t whole = piece.size() <= longest_ ? table_.by_bytes.find(piece, hash) : -1;
    if (whole >= 0) {
      const uint8_t known = whole_[static_cast<size_t>(whole)].load(std::memory_order_relaxed);
      if (known == kIsWhole || ignore_merges_) {
        out.ids.push_back(whole);
        return true;
      }
    }
    size_t count = 0;
    if (const int32_t* ids = cache.find(piece, hash, count)) {
      out.ids.insert(out.ids.end(), ids, ids + count);
      return true;
    }
    const size_t before = out.ids.size();
    split_into_symbols(piece, symbols, out.lossy);
    const auto join_all = [&](const auto& joiner) {
      if (symbols.size() <= 32) {
        join_short(piece, symbols, joiner);
      } else {
        join_long(piece, symbols, joiner);
      }
    };
    if (ranks_.empty()) {
      join_all(ByMerges{&pairs_});
    } else {
      join_all(ByScores{&table_.by_bytes, &ranks_});
    }
    if (!emit(piece, symbols, out)) return false;
    if (whole >= 0) {
      const bool alone = out.ids.size() == before + 1 && out.ids.back() == whole;
      whole_[static_cast<size_t>(whole)].store(alone ? kIsWhole : kIsNotWhole, std::memory_order_relaxed);
    }
    cache.put(piece, hash, out.ids.data() + before, out.ids.size() - before);
    return true;
  }

  /// The next place from which on nothing joins to what stands before it.
  size_t next_cut(std::string_view piece, size_t from) const {
    if (byte_level_) return piece.size();
    for (size_t at = from + 1;; ++at) {
      at = piece.find(text::kBlankMark, at);
      if (at == std::string_view::npos) return piece.size();
      if (!unsafe_before_blank_[static_cast<uint8_t>(piece[at - 1])]) return at;
    }
  }

 private:
  static constexpr uint8_t kIsWhole = 1, kIsNotWhole = 2;

  Status read_merges(const Vocabulary& vocabulary) {
    TokenMap spelled;
    spelled.reserve(vocabulary.tokens.size());
    for (size_t i = 0; i < vocabulary.tokens.size(); ++i) spelled.insert(vocabulary.tokens[i], static_cast<int32_t>(i));
    pairs_.reserve(vocabulary.merges.size());
    std::string joined;
    for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
      const std::string& merge = vocabulary.merges[i];
      const size_t blank = merge.find(' ', 1);
      if (blank == std::string::npos || blank + 1 == merge.size()) {
        return data_loss("tokenizer.merges[{}]: '{}' is not two tokens with a blank between", i, merge.substr(0, 80));
      }
      joined.assign(merge, 0, blank);
      joined.append(merge, blank + 1);
      const int32_t left = spelled.find(std::string_view(merge).substr(0, blank));
      const int32_t right = spelled.find(std::string_view(merge).substr(blank + 1));
      const int32_t id = spelled.find(joined);
      if (left < 0 || right < 0 || id < 0) {
        return data_loss("tokenizer.merges[{}]: '{}' names a token that is not in the vocabulary", i,
                         merge.substr(0, 80));
      }
      pairs_.insert(left, right, {static_cast<int32_t>(i), id});
    }
    return {};
  }

  void find_safe_cuts() {
    for (std::string_view token : table_.bytes) {
      for (size_t at = 1; (at = token.find(text::kBlankMark, at)) != std::string_view::npos; ++at) {
        unsafe_before_blank_.set(static_cast<uint8_t>(token[at - 1]));
      }
    }
  }

  void split_into_symbols(std::string_view piece, std::vector<Symbol>& symbols, bool lossy) const {
    symbols.clear();
    if (byte_level_) {
      for (uint32_t i = 0; i < piece.size(); ++i) {
        const int32_t id = table_.byte_ids[static_cast<uint8_t>(piece[i])];
        if (id < 0 && lossy) continue;  // its neighbours come together
        symbols.push_back({i, 1, id});
      }
      return;
    }
    const uint8_t* const base = text::bytes(piece);
    const uint8_t* const end = base + piece.size();
    for (const uint8_t* p = base; p < end;) {
      uint32_t length = text::valid_length(p, end);
      if (length == 0) length = 1;
      const uint32_t begin = static_cast<uint32_t>(p - base);
      symbols.push_back({begin, length, table_.by_bytes.find(piece.substr(begin, length))});
      p += length;
    }
  }

  bool emit(std::string_view piece, const std::vector<Symbol>& symbols, Output& out) const {
    bool last_unknown = false;
    for (const Symbol& symbol : symbols) {
      if (symbol.id >= 0) {
        out.ids.push_back(symbol.id);
        last_unknown = false;
        continue;
      }
      int missing = -1;
      if (byte_level_ || byte_fallback_ || unk_ < 0) {
        for (uint32_t i = 0; i < symbol.size && missing < 0; ++i) {
          if (table_.byte_ids[static_cast<uint8_t>(piece[symbol.begin + i])] < 0) missing = static_cast<int>(i);
        }
        if (missing < 0 && !byte_level_) {
          for (uint32_t i = 0; i < symbol.size; ++i) {
            out.ids.push_back(table_.byte_ids[static_cast<uint8_t>(piece[symbol.begin + i])]);
          }
          last_unknown = false;
          continue;
        }
      }
      if (unk_ >= 0) {
        if (!(fuse_unk_ && last_unknown)) out.ids.push_back(unk_);
        last_unknown = true;
        continue;
      }
      if (out.lossy) continue;
      out.missing_at = symbol.begin + static_cast<uint32_t>(std::max(missing, 0));
      out.missing_byte = static_cast<uint8_t>(piece[out.missing_at]);
      return false;
    }
    return true;
  }

  const TokenTable& table_;
  const bool byte_level_, ignore_merges_, byte_fallback_, fuse_unk_;
  const int32_t unk_;
  static constexpr size_t longest_ = 512;
  PairMap pairs_;
  std::vector<int32_t> ranks_;
  std::bitset<256> unsafe_before_blank_;
  // By id: whether the token's own bytes become this one token. Learnt as texts come; racing writers agree.
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

class BpeSession : public TokenModel::Session {
 public:
  explicit BpeSession(const Bpe& model) : model_(model) {}
  bool encode(std::string_view piece, TokenModel::Output& out) override {
    for (size_t begin = 0; begin < piece.size();) {
      const size_t end = model_.next_cut(piece, begin);
      if (!model_.encode_piece(piece.substr(begin, end - begin), cache_, symbols_, out)) {
        out.missing_at += begin;
        return false;
      }
      begin = end;
    }
    return true;
  }

 private:
  const Bpe& model_;
  WordCache cache_;
  std::vector<Symbol> symbols_;
};

std::unique_ptr<TokenModel::Session> Bpe::session() const { return std::make_unique<BpeSession>(*this); }

}  // namespace

StatusOr<std::unique_ptr<TokenModel>> make_bpe(const Vocabulary& vocabulary, const TokenTable& table) {
  auto model = std::make_unique<Bpe>(vocabulary, table);
  CALLIE_RETURN_IF_ERROR(model->build(vocabulary));
  return std::unique_ptr<TokenModel>(std::move(model));
}

}  // namespace callie
