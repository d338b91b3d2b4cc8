#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace callie {

/// Byte strings to ids, for finding all of them that begin at a place of a text. Built once; nodes are a hash table over
/// (node, byte), so that memory is proportional to the bytes put in.
class Trie {
 public:
  /// `bytes`: the sum of the lengths of all strings that will be inserted, at most.
  void reserve(size_t bytes);
  /// The first id of equal strings stays. Empty strings are ignored.
  void insert(std::string_view key, int32_t id);
  bool empty() const { return ids_.size() <= 1; }

  /// Calls `visit(length, id)` for each string that begins `text`, shortest first.
  template <typename Visit>
  void prefixes(std::string_view text, Visit visit) const {
    int32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) return;
      if (ids_[static_cast<size_t>(node)] >= 0) visit(i + 1, ids_[static_cast<size_t>(node)]);
    }
  }
  /// Some string begins with `byte`.
  bool starts_with(uint8_t byte) const { return first_[byte] >= 0; }

 private:
  int32_t child(int32_t node, uint8_t byte) const {
    if (node == 0) return first_[byte];
    const uint64_t key = static_cast<uint64_t>(node) << 8 | byte;
    for (size_t i = place(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return slots_[i].child;
      if (slots_[i].key == 0) return -1;
    }
  }
  size_t place(uint64_t key) const { return (key * 0x9e3779b97f4a7c15u >> 24) & (slots_.size() - 1); }

  struct Slot {
    uint64_t key = 0;  // node 0 is not in the table, so no key is 0
    int32_t child = -1;
  };
  std::vector<int32_t> first_ = std::vector<int32_t>(256, -1);
  std::vector<Slot> slots_ = std::vector<Slot>(16);
  std::vector<int32_t> ids_ = {-1};  // by node
};

}  // namespace callie
