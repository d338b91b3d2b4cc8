#pragma once

#include <cstdint>
#include <span>

#include "core/aligned_buffer.h"
#include "core/context.h"
#include "core/status.h"
#include "kernels/packed_view.h"
#include "tensor/storage_type.h"

namespace callie::tensor {

/// A weight matrix as it lies on disk: rows × cols elements of `type`, rows contiguous.
struct MatrixSource {
  StorageType type = StorageType::kF32;
  std::span<const uint8_t> data;
  int64_t rows = 0;
};

/// A matrix in a canonical packed family (kernels/packed_view.h). Packing is exact: every weight
/// decodes to the same bits before and after. It owns its memory, or views memory that the caller
/// keeps alive.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Bytes that pack() writes for a matrix of that shape, a multiple of 64. Errors: as pack().
  static StatusOr<int64_t> packed_size(StorageType type, int64_t rows, int64_t cols);

  /// Packs `parts`, stacked by rows, in parallel over panels. All parts must have the same packed
  /// family, and all but the last a multiple of 16 rows; part i then starts at panel (rows before
  /// it)/16. With an empty `destination` the matrix owns its memory; otherwise `destination`
  /// (64-byte aligned, packed_size bytes or more) must outlive it. Errors: kUnimplemented (the type
  /// holds no weights), kInvalidArgument (no rows, families differ, rows or columns that do not fit
  /// the family: integer families need cols % 32 == 0, super families % 256), kDataLoss (a part's
  /// data is too short), kResourceExhausted. `destination` is then unspecified.
  static StatusOr<PackedMatrix> pack(std::span<const MatrixSource> parts, int64_t cols,
                                     const Context& context, std::span<uint8_t> destination = {});
  static StatusOr<PackedMatrix> pack(StorageType type, std::span<const uint8_t> data, int64_t rows,
                                     int64_t cols, const Context& context,
                                     std::span<uint8_t> destination = {}) {
    const MatrixSource part{type, data, rows};
    return pack({&part, 1}, cols, context, destination);
  }

  /// A matrix over memory that pack() filled before (the packed cache). Errors: kDataLoss when
  /// family, shape, alignment and size do not agree.
  static StatusOr<PackedMatrix> over(const kernels::PackedFamily& family, int64_t rows,
                                     int64_t cols, std::span<const uint8_t> memory);

  const kernels::PackedView& view() const { return view_; }
  int64_t rows() const { return view_.rows; }
  int64_t cols() const { return view_.cols; }
  /// Bytes that one pass over the matrix reads.
  int64_t bytes() const { return view_.bytes(); }
  bool empty() const { return view_.rows == 0; }

  /// Row `row` to out[cols], exact.
  void unpack_row(int64_t row, float* out) const;

 private:
  kernels::PackedView view_;
  AlignedBuffer<uint8_t> memory_;
};

}  // namespace callie::tensor
