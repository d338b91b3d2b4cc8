// C[m, 16 * panels] (+)= A[m, k] * B: the product inside attention. B comes in panels of 16 columns
// whose k rows follow each other, as KV pages hold them, and is widened to float while it is read.
// Every output is one chain of fused multiply-adds over ascending k, whatever the blocking.

#if defined(CALLIE_KERNELS_PANEL_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CALLIE_KERNELS_PANEL_PRODUCT_INL_H_
#undef CALLIE_KERNELS_PANEL_PRODUCT_INL_H_
#else
#define CALLIE_KERNELS_PANEL_PRODUCT_INL_H_
#endif

#include <hwy/cache_control.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace callie::kernels::HWY_NAMESPACE {

/// Floats between rows of A (queries or probabilities): a chunk's keys or a head's dims, and a
/// cache line more so that rows do not share the same cache sets.
constexpr int64_t kRowStride = 272;

/// How B is stored. `load_rows` widens rows i … i + kRows - 1 of panels first … first + NR - 1;
/// `stride` is what lies between panels (of WidenNibblePanels: between pairs of panels), in elements.
template <class Element, class Derived>
struct WidenElements {
  using T = Element;
  static constexpr int kRows = 1;
  static constexpr int64_t kBytes = 16 * sizeof(T);  ///< of a panel in kRows rows
  template <int NR>
  static HWY_INLINE void load_rows(const T* b, int64_t stride, int64_t first, int64_t i,
                                   V16 (&out)[1][NR]) {
#pragma GCC unroll 16
    for (int j = 0; j < NR; ++j) out[0][j] = Derived::load(b + (first + j) * stride + 16 * i);
  }
};
struct WidenF32 : WidenElements<float, WidenF32> {
  static HWY_INLINE V16 load(const float* p) { return load16(p); }
};
struct WidenF16 : WidenElements<uint16_t, WidenF16> {
  static HWY_INLINE V16 load(const uint16_t* p) { return load16_f16(p); }
};
struct WidenI8 : WidenElements<int8_t, WidenI8> {
  static HWY_INLINE V16 load(const int8_t* p) { return load16_i8(p); }
};
/// A byte holds rows 2i (low) and 2i + 1 of a column: 4-bit keys.
struct WidenNibbleRows {
  using T = uint8_t;
  static constexpr int kRows = 2;
  static constexpr int64_t kBytes = 16;
  template <int NR>
  static HWY_INLINE void load_rows(const T* b, int64_t stride, int64_t first, int64_t i,
                                   V16 (&out)[2][NR]) {
#pragma GCC unroll 16
    for (int j = 0; j < NR; ++j) {
      load16_nibbles(b + (first + j) * stride + 8 * i, out[0][j], out[1][j]);
    }
  }
};
/// A byte holds column c of panels 2j (low) and 2j + 1: 4-bit values.
struct WidenNibblePanels {
  using T = uint8_t;
  static constexpr int kRows = 1;
  static constexpr int64_t kBytes = 8;
  template <int NR>
  static HWY_INLINE void load_rows(const T* b, int64_t stride, int64_t first, int64_t i,
                                   V16 (&out)[1][NR]) {
    const T* pair = b + first / 2 * stride + 16 * i;
    if constexpr (NR == 1) {
      V16 low, high;
      load16_nibbles(pair, low, high);
      out[0][0] = first % 2 == 0 ? low : high;
    } else {
      static_assert(NR == 2);  // `first` is even: blocks of two panels start at panel 0
      load16_nibbles(pair, out[0][0], out[0][1]);
    }
  }
};

// Rows and panels held in registers: 32 registers of 16 (AVX-512) or 4 (NEON) floats, 16 of 8
// (AVX2).
#if HWY_TARGET == HWY_SCALAR
constexpr int kBlockRows = 1;
constexpr int kBlockPanels = 1;
#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
constexpr int kBlockRows = 6;
constexpr int kBlockPanels = 1;
#else
constexpr int kBlockRows = 8;
constexpr int kBlockPanels = 2;
#endif

/// One register block: MR rows, NR panels from `first` on. As many bytes as it reads of b are
/// brought into the cache from `fetch` on; returns their end.
template <class Widen, int MR, int NR>
HWY_INLINE const uint8_t* product_block(const float* HWY_RESTRICT a,
                                        const typename Widen::T* HWY_RESTRICT b, int64_t b_stride,
                                        int64_t first, int64_t k, float* HWY_RESTRICT c,
                                        int64_t c_stride, bool accumulate, const uint8_t* fetch) {
  V16 acc[MR][NR];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int j = 0; j < NR; ++j)
      acc[r][j] = accumulate ? load16(c + r * c_stride + 16 * j) : zero16();
  }
  const auto add_row = [&](const V16(&row)[NR], int64_t i) HWY_ATTR {
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const V16 x = set16(a[r * kRowStride + i]);
#pragma GCC unroll 16
      for (int j = 0; j < NR; ++j) acc[r][j] = fma(x, row[j], acc[r][j]);
    }
  };
  V16 rows[Widen::kRows][NR];
  int64_t i = 0;
  for (; i + Widen::kRows <= k; i += Widen::kRows) {
    hwy::Prefetch(fetch);
    fetch += NR * Widen::kBytes;
    Widen::template load_rows<NR>(b, b_stride, first, i, rows);
#pragma GCC unroll 2
    for (int n = 0; n < Widen::kRows; ++n) add_row(rows[n], i + n);
  }
  if constexpr (Widen::kRows > 1) {
    if (i < k) {
      Widen::template load_rows<NR>(b, b_stride, first, i, rows);
      add_row(rows[0], i);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int j = 0; j < NR; ++j) store16(acc[r][j], c + r * c_stride + 16 * j);
  }
  return fetch;
}

/// Panels [begin, end) of b.
template <class Widen, int MR>
HWY_NOINLINE void product_rows(const float* a, const typename Widen::T* b, int64_t b_stride,
                               int64_t begin, int64_t end, int64_t k, float* c, int64_t c_stride,
                               bool accumulate, const uint8_t* fetch) {
  int64_t j = begin;
  for (; j + kBlockPanels <= end; j += kBlockPanels) {
    fetch = product_block<Widen, MR, kBlockPanels>(a, b, b_stride, j, k, c + 16 * j, c_stride,
                                                   accumulate, fetch);
  }
  if constexpr (kBlockPanels > 1) {
    for (; j < end; ++j) {
      fetch = product_block<Widen, MR, 1>(a, b, b_stride, j, k, c + 16 * j, c_stride, accumulate,
                                          fetch);
    }
  }
}

template <class Widen, int MR>
HWY_INLINE void product_dispatch(int rows, const float* a, const typename Widen::T* b,
                                 int64_t b_stride, int64_t begin, int64_t end, int64_t k, float* c,
                                 int64_t c_stride, bool accumulate, const uint8_t* fetch) {
  if (rows == MR) {
    product_rows<Widen, MR>(a, b, b_stride, begin, end, k, c, c_stride, accumulate, fetch);
  } else if constexpr (MR > 1) {
    product_dispatch<Widen, MR - 1>(rows, a, b, b_stride, begin, end, k, c, c_stride, accumulate,
                                    fetch);
  }
}

/// a [m, kRowStride], c [m, c_stride]; n_panels panels of b, each k rows of 16. `fetch`? points to
/// what will be read next, of about b's size: with few rows the product is over before memory answers.
template <class Widen>
HWY_INLINE void panel_product(int64_t m, const float* a, const typename Widen::T* b,
                              int64_t b_stride, int64_t n_panels, int64_t k, float* c,
                              int64_t c_stride, bool accumulate, const uint8_t* fetch = nullptr) {
  // A pair of panels stays in the first-level cache while all rows pass over it.
  const int64_t blocks = (m + kBlockRows - 1) / kBlockRows;
  const int64_t group = m > kBlockRows ? kBlockPanels : n_panels;
  for (int64_t j = 0; j < n_panels; j += group) {
    const int64_t end = j + group < n_panels ? j + group : n_panels;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t first = m * block / blocks, last = m * (block + 1) / blocks;
      const bool fetches = fetch != nullptr && block == 0;
      product_dispatch<Widen, kBlockRows>(
          static_cast<int>(last - first), a + first * kRowStride, b, b_stride, j, end, k,
          c + first * c_stride, c_stride, accumulate,
          fetches ? fetch + j * k * Widen::kBytes / Widen::kRows
                  : reinterpret_cast<const uint8_t*>(b));
    }
  }
}

}  // namespace callie::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CALLIE_KERNELS_PANEL_PRODUCT_INL_H_
