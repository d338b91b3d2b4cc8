#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/philox.h"
#include "kernels/target.h"

namespace callie::kernels {

/// Runs `body` once on every instruction set of the machine, and checks that it is the active one.
inline void on_each_target(const std::function<void(const std::string&)>& body) {
  for (const std::string& target : list_targets()) {
    ASSERT_TRUE(set_target(target));
    ASSERT_EQ(current_target(), target);
    body(target);
    if (testing::Test::HasFatalFailure()) break;
  }
  set_target("");
}

/// Activations-like numbers: bell-shaped, one in fifty six times larger.
inline std::vector<float> random_floats(size_t n, uint64_t seed, float scale = 1.0f) {
  SequentialRng rng(seed, Purpose::kTest);
  std::vector<float> x(n);
  for (float& value : x) {
    double sum = -2.0;
    for (int i = 0; i < 4; ++i) sum += rng.next_double();
    value = static_cast<float>(sum * (rng.next_below(50) == 0 ? 6.0 : 1.0)) * scale;
  }
  return x;
}

/// A row that starts `offset` floats after a 64-byte border and is followed by guard values; `n`
/// writable floats.
class GuardedRow {
 public:
  GuardedRow(size_t n, size_t offset) : n_(n), storage_(n + 64, kGuard) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(storage_.data());
    start_ = (64 - address % 64) % 64 / sizeof(float) + offset;
  }
  GuardedRow(const std::vector<float>& values, size_t offset) : GuardedRow(values.size(), offset) {
    std::copy(values.begin(), values.end(), data());
  }
  float* data() { return storage_.data() + start_; }
  bool guards_intact() const {
    for (size_t i = 0; i < storage_.size(); ++i) {
      if ((i < start_ || i >= start_ + n_) && storage_[i] != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr float kGuard = -12345.0f;
  size_t n_, start_;
  std::vector<float> storage_;
};

/// Every length below twice the widest step (32 partial sums), and a few long ones.
inline std::vector<int64_t> test_lengths() {
  std::vector<int64_t> lengths;
  for (int64_t n = 1; n < 64; ++n) lengths.push_back(n);
  for (const int64_t n : {64, 65, 100, 576, 896, 1536, 4099}) lengths.push_back(n);
  return lengths;
}
constexpr size_t kOffsets[] = {0, 1, 7};

}  // namespace callie::kernels
