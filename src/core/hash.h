#pragma once

#include <cstdint>
#include <span>

namespace callie {

/// XXH64 of `bytes`.
uint64_t xxh64(std::span<const uint8_t> bytes, uint64_t seed = 0);

/// XXH64 of a stream of byte ranges, equal to xxh64 of their concatenation.
class Xxh64Stream {
 public:
  explicit Xxh64Stream(uint64_t seed = 0);
  Xxh64Stream(const Xxh64Stream&);
  Xxh64Stream& operator=(const Xxh64Stream&);
  ~Xxh64Stream();

  void update(std::span<const uint8_t> bytes);
  uint64_t digest() const;

 private:
  void* state_;
};

}  // namespace callie
