#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/packed_view.h"

namespace callie::kernels {

/// Byte offsets inside a panel. A unit is 32 columns of 16 rows; its planes hold `bits` bits of
/// each of its 512 codes.
///
/// Code of (row r, column k = 4j + b of the unit, j in 0..7, b in 0..3):
///  - 8-bit plane (512 B): byte 64j + 4r + b;
///  - 4-bit plane (256 B): byte 64(j/2) + 4r + b, low nibble for even j;
///  - 2-bit plane (128 B): byte 64(j/4) + 4r + b, bits 2(j%4)…;
///  - 1-bit plane (64 B): byte 4r + b, bit j.
/// So each 32-bit lane of a 512-bit load belongs to one row, and shifts and masks give operands of
/// 4-way dot products.
struct PackedLayout {
  explicit PackedLayout(const PackedFamily& f)
      : header_per_super(f.is_super() ? 32 * (f.has_min() ? 2 : 1) : 0),
        block_units(f.is_super() ? 8 : 2),
        unit_code_bytes(f.is_float() ? 0 : 64 * f.bits),
        groups_per_unit(kUnitColumns / f.group),
        scale_bytes(f.is_super() ? 16 : 32),
        separate_min(f.scale == ScaleKind::kF16Min || f.scale == ScaleKind::kSuperMin) {}

  int64_t header_per_super;  ///< bytes of super-scales (and mins) per 256 columns
  int64_t block_units;       ///< units of a full block
  int64_t unit_code_bytes;
  int64_t groups_per_unit;
  int64_t scale_bytes;  ///< of one group of 16 rows
  bool separate_min;

  int64_t unit_scale_bytes() const { return groups_per_unit * scale_bytes; }
  int64_t header_bytes(int64_t cols) const {
    return (header_per_super * (cols / kSuperColumns) + 63) / 64 * 64;
  }
  /// Bytes of a block with `units` units.
  int64_t block_bytes(int64_t units) const {
    return units * (unit_scale_bytes() * (separate_min ? 2 : 1) + unit_code_bytes);
  }
};

/// Bytes of one panel of `cols` columns, a multiple of 64.
inline int64_t packed_panel_bytes(const PackedFamily& family, int64_t cols) {
  if (family.is_float()) return (cols * kPanelRows * (family.bits / 8) + 63) / 64 * 64;
  const PackedLayout layout(family);
  const int64_t units = cols / kUnitColumns;
  const int64_t full = units / layout.block_units;
  const int64_t rest = units % layout.block_units;
  const int64_t bytes = layout.header_bytes(cols) + full * layout.block_bytes(layout.block_units) +
                        layout.block_bytes(rest);
  return (bytes + 63) / 64 * 64;
}

/// One row's unit in canonical form: w[k] = scale[k/group]·(code[k] − zero) (+ min[k/group]).
struct UnitValues {
  uint8_t code[kUnitColumns];  ///< table entries already looked up
  float scale[2];              ///< [1] is a copy of [0] when the group is 32
  float min[2];
};

/// Where a unit's pieces lie in its panel.
struct UnitAddress {
  const uint8_t* super;   ///< super-scales of its 256 columns
  const uint8_t* scales;  ///< the unit's first group
  const uint8_t* mins;
  const uint8_t* codes;
};

inline UnitAddress unit_address(const PackedView& view, int64_t panel, int64_t unit) {
  const PackedLayout layout(view.family);
  const int64_t block = unit / layout.block_units;
  const int64_t within = unit % layout.block_units;
  const int64_t rest = view.units() - block * layout.block_units;
  const int64_t units = rest < layout.block_units ? rest : layout.block_units;
  const uint8_t* base = view.panel(panel);
  const uint8_t* start =
      base + layout.header_bytes(view.cols) + block * layout.block_bytes(layout.block_units);
  const int64_t all_scales = units * layout.unit_scale_bytes();
  UnitAddress address;
  address.super = base + layout.header_per_super * (unit / (kSuperColumns / kUnitColumns));
  address.scales = start + within * layout.unit_scale_bytes();
  address.mins = address.scales + all_scales;
  address.codes =
      start + all_scales * (layout.separate_min ? 2 : 1) + within * layout.unit_code_bytes;
  return address;
}

/// Byte and shift of the code of (row in panel, column in unit) in a plane of `width` bits.
struct PlaneBit {
  int64_t byte;
  int shift;
};
inline PlaneBit plane_bit(int width, int64_t row, int64_t column) {
  const int64_t j = column / 4;
  const int64_t per_byte = 8 / width;
  return {64 * (j / per_byte) + 4 * row + column % 4, static_cast<int>(j % per_byte) * width};
}

/// The planes of a code of `bits` bits, widest (lowest bits) first: 3 = 2+1, 5 = 4+1, 6 = 4+2.
struct Planes {
  int width[2];  ///< [1] is 0 when there is one plane
};
inline Planes planes_of(int bits) {
  switch (bits) {
    case 3:
      return {{2, 1}};
    case 5:
      return {{4, 1}};
    case 6:
      return {{4, 2}};
    default:
      return {{bits, 0}};
  }
}

/// Reads one row's unit, scalar. The float products are exact: binary16 × int8 has at most 19
/// significant bits.
inline void read_unit(const PackedView& view, int64_t row, int64_t unit, UnitValues& out) {
  const PackedFamily& f = view.family;
  const int64_t r = row % kPanelRows;
  const UnitAddress at = unit_address(view, row / kPanelRows, unit);
  const auto half = [](const uint8_t* p) {
    return f16_to_f32(static_cast<uint16_t>(p[0] | (p[1] << 8)));
  };
  const int groups = static_cast<int>(kUnitColumns) / f.group;
  for (int g = 0; g < 2; ++g) {
    const int source = g < groups ? g : 0;
    out.min[g] = 0.0f;
    switch (f.scale) {
      case ScaleKind::kF16Min:
        out.min[g] = half(at.mins + 32 * source + 2 * r);
        [[fallthrough]];
      case ScaleKind::kF16:
        out.scale[g] = half(at.scales + 32 * source + 2 * r);
        break;
      case ScaleKind::kSuperMin:
        out.min[g] = half(at.super + 32 + 2 * r) *
                     static_cast<float>(static_cast<int8_t>(at.mins[16 * source + r]));
        [[fallthrough]];
      case ScaleKind::kSuper:
        out.scale[g] = half(at.super + 2 * r) *
                       static_cast<float>(static_cast<int8_t>(at.scales[16 * source + r]));
        break;
      case ScaleKind::kSuperNibble:
        out.scale[g] = half(at.super + 2 * r) * static_cast<float>(at.scales[16 * source + r] & 15);
        out.min[g] =
            half(at.super + 32 + 2 * r) * static_cast<float>(at.scales[16 * source + r] >> 4);
        break;
      case ScaleKind::kNone:
        out.scale[g] = 0.0f;
        break;
    }
  }
  const Planes planes = planes_of(f.bits);
  const int64_t second = 64 * planes.width[0];
  for (int64_t k = 0; k < kUnitColumns; ++k) {
    const PlaneBit low = plane_bit(planes.width[0], r, k);
    int code = (at.codes[low.byte] >> low.shift) & ((1 << planes.width[0]) - 1);
    if (planes.width[1] != 0) {
      const PlaneBit high = plane_bit(planes.width[1], r, k);
      const int bits = (at.codes[second + high.byte] >> high.shift) & ((1 << planes.width[1]) - 1);
      code |= bits << planes.width[0];
    }
    out.code[k] = static_cast<uint8_t>(f.coding == Coding::kTable ? f.table[code] : code);
  }
}

/// Element (row, column) of a float family.
inline float float_weight(const PackedView& view, int64_t row, int64_t column) {
  const int64_t size = view.family.bits / 8;
  const uint8_t* p = view.panel(row / kPanelRows) + (column * kPanelRows + row % kPanelRows) * size;
  if (size == 4) {
    float value;
    std::memcpy(&value, p, 4);
    return value;
  }
  const uint16_t bits = static_cast<uint16_t>(p[0] | (p[1] << 8));
  return view.family.coding == Coding::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

/// The weight itself; two roundings when there is a min, one otherwise, as the on-disk formats
/// define it.
inline float unit_weight(const PackedFamily& f, const UnitValues& unit, int64_t k) {
  const int64_t g = k / f.group;
  const float scaled =
      unit.scale[g] * static_cast<float>(static_cast<int>(unit.code[k]) - static_cast<int>(f.zero));
  return f.has_min() ? scaled + unit.min[g] : scaled;
}

}  // namespace callie::kernels
