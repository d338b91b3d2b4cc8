#pragma once

#include <array>
#include <cstdint>

namespace callie::kernels {

/// Rows that one panel interleaves: one 512-bit vector holds four consecutive columns of each of
/// them.
inline constexpr int64_t kPanelRows = 16;
/// Columns of one unit: the activations' quantization group, and the step of every integer kernel.
inline constexpr int64_t kUnitColumns = 32;
/// Columns that share one super-scale.
inline constexpr int64_t kSuperColumns = 256;

/// How a weight comes from its code: affine: scale·(code − zero) + min; table: scale·(table[code] −
/// zero).
enum class Coding : uint8_t { kAffine, kTable, kF32, kF16, kBf16 };

/// Where a group's scale (and min) come from.
enum class ScaleKind : uint8_t {
  kNone,         ///< float families
  kF16,          ///< one binary16 per group
  kF16Min,       ///< binary16 scale and min per group
  kSuper,        ///< int8 per group × one binary16 per 256 columns
  kSuperMin,     ///< int8 scale and int8 min per group × binary16 scale and min per 256 columns
  kSuperNibble,  ///< 4-bit scale and 4-bit min in one byte × binary16 scale and min per 256 columns
};

/// A canonical weight format, described by data. Every on-disk format maps to one (tensor/formats).
struct PackedFamily {
  Coding coding = Coding::kF32;
  uint8_t bits = 32;   ///< per code: 2, 3, 4, 5, 6, 8; float families: 16 or 32
  uint8_t group = 32;  ///< columns per scale: 16 or 32
  ScaleKind scale = ScaleKind::kNone;
  uint8_t zero = 0;  ///< subtracted from the code (or table entry): a power of two, or 0
  std::array<uint8_t, 16> table = {};  ///< kTable: entry + zero

  bool operator==(const PackedFamily&) const = default;
  bool is_float() const { return scale == ScaleKind::kNone; }
  bool is_super() const { return scale >= ScaleKind::kSuper; }
  bool has_min() const {
    return scale == ScaleKind::kF16Min || scale == ScaleKind::kSuperMin ||
           scale == ScaleKind::kSuperNibble;
  }
};

/// A packed matrix as the kernels see it; owns nothing. y = W·x with W [rows, cols].
///
/// Rows are cut into panels of 16 (the last one padded with zero scales). A panel is contiguous,
/// `panel_bytes` long:
///  - float families: [cols][16] elements;
///  - others: super families first have cols/256 × [16] binary16 scales (then as many mins,
///  alternating: scale, min);
///    then blocks of 256 (super) or 64 (direct; the last may be 32) columns: the block's group
///    scales, its group mins, then for each unit of 32 columns its bit planes, widest first. See
///    packed_layout.h for the exact places.
struct PackedView {
  PackedFamily family;
  int64_t rows = 0;
  int64_t cols = 0;
  const uint8_t* data = nullptr;  ///< 64-byte aligned
  int64_t panel_bytes = 0;

  int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  int64_t units() const { return cols / kUnitColumns; }
  int64_t bytes() const { return panels() * panel_bytes; }
  const uint8_t* panel(int64_t index) const { return data + index * panel_bytes; }
  /// The sub-matrix of whole panels [first, first + count): rows of one of several fused matrices.
  PackedView slice(int64_t first_panel, int64_t n_rows) const {
    return {family, n_rows, cols, panel(first_panel), panel_bytes};
  }
};

}  // namespace callie::kernels
