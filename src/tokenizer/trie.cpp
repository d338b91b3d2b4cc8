#include "tokenizer/trie.h"

namespace callie {

void Trie::reserve(size_t bytes) {
  size_t slots = 16;
  while (slots < bytes * 2) slots *= 2;
  slots_.assign(slots, Slot());
}

void Trie::insert(std::string_view key, int32_t id) {
  if (key.empty()) return;
  int32_t node = 0;
  for (char c : key) {
    const uint8_t byte = static_cast<uint8_t>(c);
    int32_t next = child(node, byte);
    if (next < 0) {
      next = static_cast<int32_t>(ids_.size());
      ids_.push_back(-1);
      if (node == 0) {
        first_[byte] = next;
      } else {
        const uint64_t slot_key = static_cast<uint64_t>(node) << 8 | byte;
        size_t i = place(slot_key);
        while (slots_[i].key != 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = {slot_key, next};
      }
    }
    node = next;
  }
  int32_t& stored = ids_[static_cast<size_t>(node)];
  if (stored < 0) stored = id;
}

}  // namespace callie
