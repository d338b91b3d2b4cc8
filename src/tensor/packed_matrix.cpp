#include "tensor/packed_matrix.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/packed_layout.h"
#include "tensor/formats/codec.h"

namespace callie::tensor {
namespace {

using kernels::kPanelRows;
using kernels::kSuperColumns;
using kernels::kUnitColumns;
using kernels::PackedFamily;
using kernels::PackedLayout;
using kernels::PackedView;
using kernels::ScaleKind;

/// Sixteen rows of one on-disk block; rows past the end are all zero.
struct BlockOfPanel {
  CanonicalBlock row[kPanelRows];
};

void store_half(uint16_t bits, uint8_t* p) { std::memcpy(p, &bits, 2); }

/// One plane of the unit at `column` of the block: `width` bits of each code from bit `shift` on.
void write_plane(const BlockOfPanel& block, int64_t column, int width, int shift, uint8_t* out) {
  const int per_byte = 8 / width;
  const uint32_t mask = 0x01010101u * ((1u << width) - 1u);
  for (int64_t r = 0; r < kPanelRows; ++r) {
    const uint8_t* codes = block.row[r].codes.data() + column;
    for (int vector = 0; vector < width; ++vector) {
      uint32_t lane = 0;
      for (int i = 0; i < per_byte; ++i) {
        uint32_t four;
        std::memcpy(&four, codes + 4 * (vector * per_byte + i), 4);
        lane |= ((four >> shift) & mask) << (width * i);
      }
      std::memcpy(out + 64 * vector + 4 * r, &lane, 4);
    }
  }
}

void write_codes(const PackedFamily& family, const BlockOfPanel& block, int64_t column,
                 uint8_t* out) {
  const kernels::Planes planes = kernels::planes_of(family.bits);
  write_plane(block, column, planes.width[0], 0, out);
  if (planes.width[1] != 0) {
    write_plane(block, column, planes.width[1], planes.width[0], out + 64 * planes.width[0]);
  }
}

/// A direct block is one unit.
void write_direct(const PackedView& view, int64_t panel, int64_t unit, const BlockOfPanel& block) {
  const kernels::UnitAddress at = kernels::unit_address(view, panel, unit);
  for (int64_t r = 0; r < kPanelRows; ++r) {
    store_half(block.row[r].scale, const_cast<uint8_t*>(at.scales) + 2 * r);
    if (view.family.has_min()) {
      store_half(block.row[r].min, const_cast<uint8_t*>(at.mins) + 2 * r);
    }
  }
  write_codes(view.family, block, 0, const_cast<uint8_t*>(at.codes));
}

/// A super block is eight units.
void write_super(const PackedView& view, int64_t panel, int64_t super, const BlockOfPanel& block) {
  const PackedFamily& f = view.family;
  const kernels::UnitAddress first = kernels::unit_address(view, panel, super * 8);
  uint8_t* header = const_cast<uint8_t*>(first.super);
  uint8_t* scales = const_cast<uint8_t*>(first.scales);
  uint8_t* mins = const_cast<uint8_t*>(first.mins);
  const int64_t groups = kSuperColumns / f.group;
  for (int64_t r = 0; r < kPanelRows; ++r) {
    const CanonicalBlock& row = block.row[r];
    store_half(row.scale, header + 2 * r);
    if (f.has_min()) store_half(row.min, header + 32 + 2 * r);
    for (int64_t g = 0; g < groups; ++g) {
      uint8_t scale = static_cast<uint8_t>(row.group_scales[g]);
      if (f.scale == ScaleKind::kSuperNibble) {
        scale = static_cast<uint8_t>(scale | (row.group_mins[g] << 4));
      }
      scales[16 * g + r] = scale;
      if (f.scale == ScaleKind::kSuperMin)
        mins[16 * g + r] = static_cast<uint8_t>(row.group_mins[g]);
    }
  }
  for (int64_t unit = 0; unit < 8; ++unit) {
    const kernels::UnitAddress at = kernels::unit_address(view, panel, super * 8 + unit);
    write_codes(f, block, unit * kUnitColumns, const_cast<uint8_t*>(at.codes));
  }
}

/// `rows` (1..16) rows from `source`, `row_bytes` apart.
void pack_integer_panel(const PackedView& view, int64_t panel, const FormatCodec& codec,
                        const uint8_t* source, int64_t rows, int64_t row_bytes) {
  const StorageTypeInfo& info = *storage_type_info(codec.type);
  BlockOfPanel block;
  std::memset(&block, 0, sizeof(block));
  for (int64_t b = 0; b < view.cols / info.block_elements; ++b) {
    for (int64_t r = 0; r < rows; ++r) {
      codec.read_block(source + r * row_bytes + b * info.block_bytes, block.row[r]);
    }
    if (view.family.is_super()) {
      write_super(view, panel, b, block);
    } else {
      write_direct(view, panel, b, block);
    }
  }
}

template <typename Element>
void pack_float_panel(const PackedView& view, int64_t panel, const uint8_t* source, int64_t rows) {
  uint8_t* out = const_cast<uint8_t*>(view.panel(panel));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < view.cols; ++k) {
      std::memcpy(out + (k * kPanelRows + r) * static_cast<int64_t>(sizeof(Element)),
                  source + (r * view.cols + k) * static_cast<int64_t>(sizeof(Element)),
                  sizeof(Element));
    }
  }
}

void pack_panels(const PackedView& view, const MatrixSource& part, int64_t first_panel,
                 int64_t begin, int64_t end) {
  const StorageTypeInfo& info = *storage_type_info(part.type);
  const int64_t row_bytes = view.cols / info.block_elements * info.block_bytes;
  const FormatCodec* codec = find_codec(part.type);
  for (int64_t p = begin; p < end; ++p) {
    const int64_t panel = first_panel + p;
    std::memset(const_cast<uint8_t*>(view.panel(panel)), 0, static_cast<size_t>(view.panel_bytes));
    const uint8_t* source = part.data.data() + p * kPanelRows * row_bytes;
    const int64_t rows = std::min(kPanelRows, part.rows - p * kPanelRows);
    if (codec != nullptr) {
      pack_integer_panel(view, panel, *codec, source, rows, row_bytes);
    } else if (info.block_bytes == 4) {
      pack_float_panel<uint32_t>(view, panel, source, rows);
    } else {
      pack_float_panel<uint16_t>(view, panel, source, rows);
    }
  }
}

/// The family of a matrix of that shape, after checking that the shape fits.
StatusOr<PackedFamily> checked_family(StorageType type, int64_t rows, int64_t cols) {
  CALLIE_ASSIGN_OR_RETURN(const PackedFamily family, packed_family(type));
  const StorageTypeInfo& info = *storage_type_info(type);
  if (rows <= 0 || cols <= 0) return invalid_argument("a matrix of {} × {} is empty", rows, cols);
  if (rows > (int64_t{1} << 31) || cols > (int64_t{1} << 31)) {
    return invalid_argument("a matrix of {} × {} is too large", rows, cols);
  }
  if (cols % info.block_elements != 0) {
    return invalid_argument("{}: {} columns are not a multiple of {}", info.name, cols,
                            info.block_elements);
  }
  return family;
}

}  // namespace

StatusOr<int64_t> PackedMatrix::packed_size(StorageType type, int64_t rows, int64_t cols) {
  CALLIE_ASSIGN_OR_RETURN(const PackedFamily family, checked_family(type, rows, cols));
  return (rows + kPanelRows - 1) / kPanelRows * kernels::packed_panel_bytes(family, cols);
}

StatusOr<PackedMatrix> PackedMatrix::pack(std::span<const MatrixSource> parts, int64_t cols,
                                          const Context& context, std::span<uint8_t> destination) {
  if (parts.empty()) return invalid_argument("nothing to pack");
  PackedView view;
  view.cols = cols;
  for (size_t i = 0; i < parts.size(); ++i) {
    const MatrixSource& part = parts[i];
    CALLIE_ASSIGN_OR_RETURN(const PackedFamily family, checked_family(part.type, part.rows, cols));
    const StorageTypeInfo& info = *storage_type_info(part.type);
    if (i == 0) view.family = family;
    if (!(family == view.family)) {
      return invalid_argument("matrices of different packed families cannot be fused");
    }
    if (i + 1 < parts.size() && part.rows % kPanelRows != 0) {
      return invalid_argument("a fused matrix of {} rows must have a multiple of {}", part.rows,
                              kPanelRows);
    }
    const int64_t bytes = part.rows * (cols / info.block_elements) * info.block_bytes;
    if (part.data.size() < static_cast<size_t>(bytes)) {
      return error(StatusCode::kDataLoss, "{} × {} {} needs {} bytes, there are {}", part.rows,
                   cols, info.name, bytes, part.data.size());
    }
    view.rows += part.rows;
  }
  view.panel_bytes = kernels::packed_panel_bytes(view.family, cols);
  PackedMatrix matrix;
  if (destination.empty()) {
    CALLIE_ASSIGN_OR_RETURN(matrix.memory_, AlignedBuffer<uint8_t>::allocate(view.bytes(), "weights"));
    destination = matrix.memory_.span();
  }
  if (static_cast<int64_t>(destination.size()) < view.bytes() ||
      reinterpret_cast<uintptr_t>(destination.data()) % 64 != 0) {
    return invalid_argument("the packed matrix needs {} bytes, 64-byte aligned", view.bytes());
  }
  view.data = destination.data();
  int64_t first_panel = 0;
  for (const MatrixSource& part : parts) {
    const int64_t panels = (part.rows + kPanelRows - 1) / kPanelRows;
    const auto body = [&](int64_t begin, int64_t end) {
      pack_panels(view, part, first_panel, begin, end);
    };
    if (context.pool != nullptr) {
      context.pool->parallel_for(panels, body);
    } else {
      body(0, panels);
    }
    first_panel += panels;
  }
  matrix.view_ = view;
  return matrix;
}

StatusOr<PackedMatrix> PackedMatrix::over(const PackedFamily& family, int64_t rows, int64_t cols,
                                          std::span<const uint8_t> memory) {
  const int64_t step = family.is_float() ? 1 : family.is_super() ? kSuperColumns : kUnitColumns;
  if (rows <= 0 || cols <= 0 || cols % step != 0 || rows > (int64_t{1} << 31) ||
      cols > (int64_t{1} << 31)) {
    return error(StatusCode::kDataLoss, "a packed matrix of {} × {} is impossible", rows, cols);
  }
  const int bits = family.bits;
  const bool known = family.is_float() ? bits == 16 || bits == 32
                                       : bits >= 2 && bits <= 8 && bits != 7 &&
                                             (family.group == 16 || family.group == 32);
  if (!known || family.scale > ScaleKind::kSuperNibble) {
    return error(StatusCode::kDataLoss, "unknown packed family");
  }
  PackedMatrix matrix;
  matrix.view_ = {family, rows, cols, memory.data(), kernels::packed_panel_bytes(family, cols)};
  if (static_cast<int64_t>(memory.size()) < matrix.bytes() ||
      reinterpret_cast<uintptr_t>(memory.data()) % 64 != 0) {
    return error(StatusCode::kDataLoss, "a packed matrix of {} × {} needs {} bytes, there are {}",
                 rows, cols, matrix.bytes(), memory.size());
  }
  return matrix;
}

void PackedMatrix::unpack_row(int64_t row, float* out) const {
  if (view_.family.is_float()) {
    for (int64_t k = 0; k < view_.cols; ++k) out[k] = kernels::float_weight(view_, row, k);
    return;
  }
  kernels::UnitValues unit;
  for (int64_t u = 0; u < view_.units(); ++u) {
    kernels::read_unit(view_, row, u, unit);
    for (int64_t k = 0; k < kUnitColumns; ++k) {
      out[u * kUnitColumns + k] = kernels::unit_weight(view_.family, unit, k);
    }
  }
}

}  // namespace callie::tensor
