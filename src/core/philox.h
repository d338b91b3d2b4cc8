#pragma once

#include <array>
#include <cstdint>

namespace callie {

/// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): a keyed bijection of a
/// 128-bit counter. Equal to Random123's philox4x32 with 10 rounds.
constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// What a random number is for; part of the counter, so that two uses never share noise.
enum class Purpose : uint32_t { kSampling = 1, kPerturbation = 2, kWorkload = 3, kTest = 4, kData = 5, kInit = 6 };

/// A stream of random words addressed by position, never by call order: word(i) depends on (seed, choice, purpose, i)
/// only.
class CounterRng {
 public:
  CounterRng(uint64_t seed, Purpose purpose, uint32_t choice = 0)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        stream_((static_cast<uint32_t>(purpose) << 24) ^ choice) {}

  /// Four words of block `block` at `position`.
  std::array<uint32_t, 4> words(uint64_t position, uint32_t block) const {
    return philox4x32(
        {block, static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), stream_}, key_);
  }

  /// Uniform in (0, 1), never 0 or 1: 23 bits, centred (the half needs the 24th bit of the significand).
  static float uniform(uint32_t word) { return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f; }

  /// Uniform in (0, 1) from 53 bits.
  static double uniform53(uint32_t high, uint32_t low) {
    const uint64_t bits = (uint64_t{high} << 21) ^ (low >> 11);
    return (static_cast<double>(bits) + 0.5) * 0x1p-53;
  }

 private:
  std::array<uint32_t, 2> key_;
  uint32_t stream_;
};

/// A sequential view of a CounterRng, for workloads and data generation where call order is the program's own order.
class SequentialRng {
 public:
  SequentialRng(uint64_t seed, Purpose purpose, uint32_t choice = 0) : rng_(seed, purpose, choice) {}

  uint32_t next_u32() {
    if (used_ == 4) {
      block_ = rng_.words(counter_++, 0);
      used_ = 0;
    }
    return block_[used_++];
  }
  uint64_t next_u64() {
    const uint64_t high = next_u32();
    return (high << 32) | next_u32();
  }
  /// Uniform in (0, 1).
  double next_double() {
    const uint32_t high = next_u32();
    return CounterRng::uniform53(high, next_u32());
  }
  /// Uniform in 0..bound-1; bound >= 1. Multiply-shift: bias below bound/2^64.
  uint64_t next_below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next_u64()) * bound) >> 64);
  }

 private:
  CounterRng rng_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
  uint64_t counter_ = 0;
};

}  // namespace callie
