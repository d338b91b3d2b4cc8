#pragma once

#include <cstdint>

namespace callie::plan {

/// Sum over i in 0..n-1 of floor((a i + b) / m), exactly, in O(log m). All arguments >= 0, m > 0. The Euclid-like
/// recursion of Knuth, TAOCP 1, 1.2.4 exercise 37 generalised.
inline unsigned __int128 floor_sum(uint64_t n, uint64_t m, uint64_t a, uint64_t b) {
  using Wide = unsigned __int128;
  Wide sum = 0;
  Wide count = n, mod = m, slope = a, offset = b;
  while (count > 0) {
    if (slope >= mod) {
      sum += (count - 1) * count / 2 * (slope / mod);
      slope %= mod;
    }
    if (offset >= mod) {
      sum += count * (offset / mod);
      offset %= mod;
    }
    const Wide top = slope * count + offset;
    if (top < mod) break;
    count = top / mod;
    offset = top % mod;
    const Wide swap = mod;
    mod = slope;
    slope = swap;
  }
  return sum;
}

}  // namespace callie::plan
