// Per-target header, after unpack-inl.h: products with few tokens. Each weight is unpacked in
// registers and used for up to 8 tokens; the panel streams from memory once.

/// Where a tile's records keep the operands of its first token, and how far apart units are.
struct TileOperands {
  const uint8_t* codes;
  const uint8_t* scale;
  const uint8_t* sum;
  const uint8_t* minus;       ///< i32 −Σ of the unit
  const uint8_t* minus_half;  ///< i32 −Σ of columns 0..15; of 16..31 half_stride further on
  int64_t half_stride;
  int64_t record_bytes;

  HWY_INLINE TileOperands(const QuantizedRows& x, int64_t tile, int64_t unit, int64_t first_token) {
    const int64_t n = x.tile_tokens(tile);
    const uint8_t* record = x.record(tile, unit);
    codes = record + 32 * first_token;
    scale = record + 32 * n + 4 * first_token;
    sum = scale + 4 * n;
    minus = sum + 4 * n;
    minus_half = minus + 4 * n;
    half_stride = 4 * n;
    record_bytes = n * QuantizedRows::kTokenBytes;
  }
  HWY_INLINE void next() {
    codes += record_bytes;
    scale += record_bytes;
    sum += record_bytes;
    minus += record_bytes;
    minus_half += record_bytes;
  }
};

template <int kT>
struct Accumulators {
  VF v[kT];
};

/// −zero·Σx as the start of an integer dot, or 0.
template <class F>
HWY_INLINE VI start_dot(const uint8_t* minus_sum, int zero_shift) {
  if constexpr (!F::kZero) return hn::Zero(kDi);
  return hn::ShiftLeftSame(broadcast_codes(minus_sum), zero_shift);
}

/// Integer dots of operands kFirst..kLast-1 for kT tokens.
template <class F, int kT, int kFirst, int kLast>
HWY_INLINE void dot_range(const uint8_t* p, VI table, const uint8_t* x, VI (&dot)[kT]) {
  const VI w = unpack<F, kFirst>(p, table);
  HWY_UNROLL(8)
  for (int t = 0; t < kT; ++t) {
    dot[t] = dot4<F::kOperandBits>(dot[t], w, broadcast_codes(x + 32 * t + 4 * kFirst));
  }
  if constexpr (kFirst + 1 < kLast) dot_range<F, kT, kFirst + 1, kLast>(p, table, x, dot);
}

/// One unit of one part for kT tokens. The order of roundings is that of every kernel (see
/// matmul_scalar.cpp).
template <class F, int kT>
HWY_INLINE void stream_unit(const uint8_t* codes, const UnitScales<F>& s, VI table, int zero_shift,
                            const TileOperands& x, Accumulators<kT>& acc) {
  VI dot[kT];
  if constexpr (F::kGroups == 1) {
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) {
      dot[t] = start_dot<F>(x.minus + 4 * t, zero_shift);
    }
    dot_range<F, kT, 0, 8>(codes, table, x.codes, dot);
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) {
      const VF scale = hn::Mul(s.scale[0], broadcast_float(x.scale + 4 * t));
      acc.v[t] = hn::MulAdd(hn::ConvertTo(kDf, dot[t]), scale, acc.v[t]);
      if constexpr (F::kMin) {
        acc.v[t] = hn::MulAdd(s.min[0], broadcast_float(x.sum + 4 * t), acc.v[t]);
      }
    }
  } else {
    VF part[kT];
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) {
      dot[t] = start_dot<F>(x.minus_half + 4 * t, zero_shift);
    }
    dot_range<F, kT, 0, 4>(codes, table, x.codes, dot);
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) {
      part[t] = hn::Mul(hn::ConvertTo(kDf, dot[t]), s.scale[0]);
      dot[t] = start_dot<F>(x.minus_half + x.half_stride + 4 * t, zero_shift);
    }
    dot_range<F, kT, 4, 8>(codes, table, x.codes, dot);
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) {
      part[t] = hn::MulAdd(hn::ConvertTo(kDf, dot[t]), s.scale[1], part[t]);
      if constexpr (F::kMin) {
        part[t] = hn::NegMulAdd(hn::ConvertTo(kDf, broadcast_codes(x.minus_half + 4 * t)), s.min[0],
                                part[t]);
        part[t] =
            hn::NegMulAdd(hn::ConvertTo(kDf, broadcast_codes(x.minus_half + x.half_stride + 4 * t)),
                          s.min[1], part[t]);
      }
      acc.v[t] = hn::MulAdd(part[t], broadcast_float(x.scale + 4 * t), acc.v[t]);
    }
  }
}

/// Bytes that the weights are fetched ahead of their use: memory latency (about 100 ns) times a
/// core's share of the bandwidth, and some.
constexpr int64_t kFetchAhead = 4096;

/// Tokens first_token … first_token + kT - 1 of a tile, one panel.
template <class F, int kT>
HWY_NOINLINE void stream_panel(const PackedView& w, const QuantizedRows& x, int64_t panel,
                               int64_t tile, int64_t first_token, float* y, int64_t ldy) {
  const uint8_t* base = w.panel(panel);
  const int64_t row = panel * kPanelRows;
  const VI table = load_table(w.family);
  const int zero_shift = F::kZero ? __builtin_ctz(w.family.zero) : 0;
  y += (tile * QuantizedRows::kTile + first_token) * ldy + row;
  for (int64_t part = 0; part < kParts; ++part) {
    Accumulators<kT> acc;
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) acc.v[t] = hn::Zero(kDf);
    TileOperands operands(x, tile, 0, first_token);
    const int64_t at = 4 * kLanes * part;
    constexpr int64_t kUnitBytes = F::kBlockBytes / F::kBlockUnits;
    const uint8_t* fetch = base + kFetchAhead;
    for_units<F>(base, w.units(), 0, w.units(),
                 [&](int64_t, const uint8_t* codes, const uint8_t* scales, const uint8_t* mins,
                     const uint8_t* super) HWY_ATTR {
                   for (int64_t line = 0; line < kUnitBytes; line += 64) {
                     hwy::Prefetch(fetch + line);
                   }
                   fetch += kUnitBytes;
                   const UnitScales<F> s =
                       load_scales<F>(scales, mins, load_super<F>(super, part), part);
                   stream_unit<F, kT>(codes + at, s, table, zero_shift, operands, acc);
                   operands.next();
                 });
    const int64_t rows = w.rows - row - kLanes * part;
    HWY_UNROLL(8)
    for (int t = 0; t < kT; ++t) store_lanes(acc.v[t], y + t * ldy + kLanes * part, rows);
  }
}

/// All tokens, panel by panel. The largest register tile that the target's registers hold comes
/// first.
template <class F>
void stream_matmul(const PackedView& w, const QuantizedRows& x, int64_t panel_begin,
                   int64_t panel_end, float* y, int64_t ldy) {
  const int64_t tiles = (x.m + QuantizedRows::kTile - 1) / QuantizedRows::kTile;
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t n = x.tile_tokens(tile);
      int64_t t = 0;
      while (t < n) {
        const int64_t rest = n - t;
        int64_t step = 1;
        switch (rest < kStreamTokens ? rest : kStreamTokens) {
#if CALLIE_DOT == 4
          case 8:
            stream_panel<F, 8>(w, x, panel, tile, t, y, ldy);
            step = 8;
            break;
          case 7:
            stream_panel<F, 7>(w, x, panel, tile, t, y, ldy);
            step = 7;
            break;
          case 6:
            stream_panel<F, 6>(w, x, panel, tile, t, y, ldy);
            step = 6;
            break;
          case 5:
            stream_panel<F, 5>(w, x, panel, tile, t, y, ldy);
            step = 5;
            break;
#endif
          case 4:
            stream_panel<F, 4>(w, x, panel, tile, t, y, ldy);
            step = 4;
            break;
          case 3:
            stream_panel<F, 3>(w, x, panel, tile, t, y, ldy);
            step = 3;
            break;
          case 2:
            stream_panel<F, 2>(w, x, panel, tile, t, y, ldy);
            step = 2;
            break;
          default:
            stream_panel<F, 1>(w, x, panel, tile, t, y, ldy);
            break;
        }
        t += step;
      }
    }
  }
}
