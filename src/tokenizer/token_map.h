#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace callie {

/// A fast hash of a few bytes (multiply and fold, 8 bytes at a time). Not for untrusted keys in adversarial sizes: tables
/// that use it hold what a vocabulary holds.
inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kA = 0x9e3779b97f4a7c15u, kB = 0xd6e8feb86659fd93u;
  const auto mix = [](uint64_t x, uint64_t y) {
    const unsigned __int128 product = static_cast<unsigned __int128>(x) * y;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  const char* p = bytes.data();
  size_t n = bytes.size();
  uint64_t hash = kA ^ n;
  while (n > 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    hash = mix(hash ^ word, kB);
    p += 8;
    n -= 8;
  }
  uint64_t word = 0;
  for (size_t i = 0; i < n; ++i) word |= static_cast<uint64_t>(static_cast<uint8_t>(p[i])) << (8 * i);
  return mix(hash ^ word, kA);
}

/// Byte strings to ids: open addressing, built once. The strings are views into memory that outlives the map.
class TokenMap {
 public:
  void reserve(size_t count) {
    size_t slots = 16;
    while (slots < count * 2) slots *= 2;
    slots_.assign(slots, Slot());
  }
  /// False where the string is there already (its id stays). Never more strings than were reserved.
  bool insert(std::string_view bytes, int32_t id) {
    const uint64_t hash = hash_bytes(bytes);
    for (size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      Slot& slot = slots_[i];
      if (slot.id < 0) {
        slot = {bytes.data(), static_cast<uint32_t>(bytes.size()), static_cast<uint32_t>(hash >> 32), id};
        return true;
      }
      if (slot.is(bytes, hash)) return false;
    }
  }
  /// The id, or -1.
  int32_t find(std::string_view bytes) const { return find(bytes, hash_bytes(bytes)); }
  int32_t find(std::string_view bytes, uint64_t hash) const {
    if (slots_.empty()) return -1;
    for (size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return -1;
      if (slot.is(bytes, hash)) return slot.id;
    }
  }

 private:
  struct Slot {
    const char* data = nullptr;
    uint32_t size = 0;
    uint32_t tag = 0;
    int32_t id = -1;
    bool is(std::string_view bytes, uint64_t hash) const {
      return tag == static_cast<uint32_t>(hash >> 32) && size == bytes.size() &&
             std::memcmp(data, bytes.data(), size) == 0;
    }
  };
  std::vector<Slot> slots_;
};

/// Pairs of ids to (rank, id of the joined token).
class PairMap {
 public:
  struct Join {
    int32_t rank = -1;  ///< -1: the pair does not join
    int32_t id = -1;
  };
  void reserve(size_t count) {
    size_t slots = 16;
    while (slots < count + count / 2) slots *= 2;
    slots_.assign(slots, Slot());
  }
  /// The first of equal pairs stays. Never more pairs than were reserved.
  void insert(int32_t left, int32_t right, Join join) {
    const uint64_t key = key_of(left, right);
    for (size_t i = place(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return;
      if (slots_[i].key == kEmpty) {
        slots_[i] = {key, join};
        return;
      }
    }
  }
  Join find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t i = place(key);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return slots_[i].join;
      if (slots_[i].key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Join join;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t place(uint64_t key) const { return (key * 0x9e3779b97f4a7c15u >> 20) & (slots_.size() - 1); }
  std::vector<Slot> slots_;
};

}  // namespace callie
