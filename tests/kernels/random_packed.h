#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/half.h"
#include "kernels/packed_layout.h"

namespace callie::kernels {

struct NamedFamily {
  std::string name;
  PackedFamily family;
};

/// The families of all on-disk formats, then some that no format has, then the float ones.
inline std::vector<NamedFamily> test_families() {
  const auto affine = [](int bits, int group, ScaleKind scale) {
    PackedFamily f{Coding::kAffine, static_cast<uint8_t>(bits), static_cast<uint8_t>(group), scale, 0, {}};
    if (!f.has_min()) f.zero = static_cast<uint8_t>(1 << (bits - 1));
    return f;
  };
  const auto table = [](ScaleKind scale) {
    return PackedFamily{Coding::kTable, 4, 32, scale, 128,
                        {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241}};
  };
  using S = ScaleKind;
  return {{"Q4_0", affine(4, 32, S::kF16)},
          {"Q4_1", affine(4, 32, S::kF16Min)},
          {"Q5_0", affine(5, 32, S::kF16)},
          {"Q5_1", affine(5, 32, S::kF16Min)},
          {"Q8_0", affine(8, 32, S::kF16)},
          {"Q2_K", affine(2, 16, S::kSuperNibble)},
          {"Q3_K", affine(3, 16, S::kSuper)},
          {"Q4_K", affine(4, 32, S::kSuperMin)},
          {"Q5_K", affine(5, 32, S::kSuperMin)},
          {"Q6_K", affine(6, 16, S::kSuper)},
          {"IQ4_NL", table(S::kF16)},
          {"IQ4_XS", table(S::kSuper)},
          {"6-bit direct", affine(6, 32, S::kF16)},
          {"3-bit direct with min", affine(3, 32, S::kF16Min)},
          {"8-bit super", affine(8, 16, S::kSuper)},
          {"2-bit super with min", affine(2, 32, S::kSuperMin)},
          {"F32", {Coding::kF32, 32, 32, S::kNone, 0, {}}},
          {"F16", {Coding::kF16, 16, 32, S::kNone, 0, {}}},
          {"BF16", {Coding::kBf16, 16, 32, S::kNone, 0, {}}}};
}

/// A packed matrix of random codes and scales of either sign, over all their values; padding rows are random too.
struct RandomPacked {
  RandomPacked(const PackedFamily& family, int64_t rows, int64_t cols, uint32_t seed) {
    view = {family, rows, cols, nullptr, packed_panel_bytes(family, cols)};
    memory.resize(static_cast<size_t>(view.bytes()) + 64 + 8192);
    uint8_t* data = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    view.data = data;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < view.bytes(); ++i) data[i] = static_cast<uint8_t>(random());
    const auto half = [&](const uint8_t* p) {
      const uint16_t bits = f32_to_f16(normal(random) * 0.02f);
      std::memcpy(const_cast<uint8_t*>(p), &bits, 2);
    };
    for (int64_t panel = 0; panel < view.panels(); ++panel) {
      if (family.is_float()) {
        for (int64_t i = 0; i < cols * kPanelRows; ++i) {
          uint8_t* p = data + panel * view.panel_bytes + i * family.bits / 8;
          const float value = normal(random);
          if (family.coding == Coding::kF32) std::memcpy(p, &value, 4);
          const uint16_t bits =
              family.coding == Coding::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
          if (family.coding != Coding::kF32) std::memcpy(p, &bits, 2);
        }
        continue;
      }
      for (int64_t unit = 0; unit < view.units(); ++unit) {
        const UnitAddress at = unit_address(view, panel, unit);
        for (int64_t r = 0; r < 16; ++r) {
          for (int64_t g = 0; g < kUnitColumns / family.group && !family.is_super(); ++g) {
            half(at.scales + 32 * g + 2 * r);
            if (family.has_min()) half(at.mins + 32 * g + 2 * r);
          }
          if (family.is_super() && unit % 8 == 0) {
            half(at.super + 2 * r);
            if (family.has_min()) half(at.super + 32 + 2 * r);
          }
        }
      }
    }
  }

  std::vector<uint8_t> memory;
  PackedView view;
};

inline std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

}  // namespace callie::kernels
