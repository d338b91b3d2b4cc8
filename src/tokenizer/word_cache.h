#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/token_map.h"

namespace callie {

/// Remembers the ids of pieces within one text. Fixed size; a newer piece takes the place of an older one.
class WordCache {
 public:
  static constexpr size_t kMaxPiece = 48;

  /// The ids of `piece`, or null; `count` is how many.
  const int32_t* find(std::string_view piece, uint64_t hash, size_t& count) const {
    if (entries_.empty()) return nullptr;
    const Entry& entry = entries_[hash & (kEntries - 1)];
    if (entry.hash != hash || entry.size != piece.size() ||
        std::memcmp(bytes_.data() + entry.bytes, piece.data(), piece.size()) != 0) {
      return nullptr;
    }
    count = entry.count;
    return ids_.data() + entry.ids;
  }

  void put(std::string_view piece, uint64_t hash, const int32_t* ids, size_t count) {
    if (piece.size() > kMaxPiece || ++puts_ < kFirstPuts) return;  // a short text needs no cache
    if (entries_.empty() || bytes_.size() > kMaxBytes) {
      entries_.assign(kEntries, Entry());
      bytes_.clear();
      ids_.clear();
    }
    entries_[hash & (kEntries - 1)] = {hash, static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(ids_.size()),
                                       static_cast<uint16_t>(piece.size()), static_cast<uint16_t>(count)};
    bytes_ += piece;
    ids_.insert(ids_.end(), ids, ids + count);
  }

 private:
  static constexpr size_t kEntries = 1 << 14;
  static constexpr size_t kMaxBytes = 4 << 20;
  static constexpr int kFirstPuts = 64;
  struct Entry {
    uint64_t hash = 0;
    uint32_t bytes = 0, ids = 0;
    uint16_t size = 0, count = 0;
  };
  std::vector<Entry> entries_;
  std::string bytes_;
  std::vector<int32_t> ids_;
  int puts_ = 0;
};

}  // namespace callie
