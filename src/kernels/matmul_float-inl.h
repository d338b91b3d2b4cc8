// Per-target header, after matmul_blocked-inl.h: f32 activations. Float families are read as they
// are; integer families are decoded to f32 in the first-level cache, block by block.

template <Coding kCoding>
HWY_INLINE VF load_weights(const uint8_t* p) {
  if constexpr (kCoding == Coding::kF32) {
    return hn::LoadU(kDf, reinterpret_cast<const float*>(p));
  } else if constexpr (kCoding == Coding::kF16) {
    return load_halves(p);
  } else {
    const hn::Rebind<uint16_t, DF> d;
    return hn::BitCast(kDf, hn::ShiftLeft<16>(hn::PromoteTo(
                                kDi, hn::LoadU(d, reinterpret_cast<const uint16_t*>(p)))));
  }
}

/// Columns [0, columns) of kPanels panels (panel_bytes apart, elements of one column adjacent) × kT
/// tokens.
template <Coding kCoding, int kPanels, int kT>
HWY_NOINLINE void float_tile(const uint8_t* weights, int64_t panel_bytes, int64_t columns,
                             const float* x, int64_t ldx, bool first, float* y, int64_t ldy,
                             int64_t rows) {
  constexpr int64_t kSize = kCoding == Coding::kF32 ? 4 : 2;
  for (int64_t part = 0; part < kParts; ++part) {
    VF acc[kPanels][kT];
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(8)
      for (int t = 0; t < kT; ++t) {
        const int64_t offset = 16 * p + kLanes * part;
        acc[p][t] = first ? hn::Zero(kDf) : load_lanes(y + t * ldy + offset, rows - offset);
      }
    }
    const uint8_t* from = weights + kSize * kLanes * part;
    for (int64_t k = 0; k < columns; ++k) {
      VF w[kPanels];
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) w[p] = load_weights<kCoding>(from + p * panel_bytes);
      if constexpr (kPanels > 1) {
        HWY_UNROLL(8)
        for (int p = 0; p < kPanels; ++p) hwy::Prefetch(from + p * panel_bytes + kFetchAhead / 2);
      }
      from += kSize * kPanelRows;
      HWY_UNROLL(8)
      for (int t = 0; t < kT; ++t) {
        const VF value = hn::Set(kDf, x[t * ldx + k]);
        HWY_UNROLL(8)
        for (int p = 0; p < kPanels; ++p) acc[p][t] = hn::MulAdd(w[p], value, acc[p][t]);
      }
    }
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(8)
      for (int t = 0; t < kT; ++t) {
        const int64_t offset = 16 * p + kLanes * part;
        if (rows > offset) store_lanes(acc[p][t], y + t * ldy + offset, rows - offset);
      }
    }
  }
}

/// All tokens over columns [0, columns) of kPanels panels.
template <Coding kCoding, int kPanels>
HWY_INLINE void float_tokens(const uint8_t* weights, int64_t panel_bytes, int64_t columns,
                             const float* x, int64_t ldx, int64_t m, bool first, float* y,
                             int64_t ldy, int64_t rows) {
  for (int64_t t = 0; t < m;) {
    const auto run = [&]<int kT>() HWY_ATTR {
      float_tile<kCoding, kPanels, kT>(weights, panel_bytes, columns, x + t * ldx, ldx, first,
                                       y + t * ldy, ldy, rows);
      t += kT;
    };
    if (m - t >= kFloatTokens) {
      run.template operator()<kFloatTokens>();
    } else if (m - t >= 2) {
      run.template operator()<2>();
    } else {
      run.template operator()<1>();
    }
  }
}

template <Coding kCoding>
void float_matmul(const PackedView& w, const float* x, int64_t ldx, int64_t m, int64_t panel_begin,
                  int64_t panel_end, float* y, int64_t ldy) {
  int64_t panel = panel_begin;
  for (; panel + kFloatPanels <= panel_end; panel += kFloatPanels) {
    const int64_t row = panel * kPanelRows;
    float_tokens<kCoding, kFloatPanels>(w.panel(panel), w.panel_bytes, w.cols, x, ldx, m, true,
                                        y + row, ldy, w.rows - row);
  }
  for (; panel < panel_end; ++panel) {
    const int64_t row = panel * kPanelRows;
    float_tokens<kCoding, 1>(w.panel(panel), w.panel_bytes, w.cols, x, ldx, m, true, y + row, ldy,
                             w.rows - row);
  }
}

constexpr int64_t kDecodeUnits = 8;

/// The weights of units [begin, end) as [column][16] f32.
template <class F>
HWY_NOINLINE void decode_panel(const PackedView& w, int64_t panel, int64_t begin, int64_t end,
                               float* out) {
  const VI table = load_table(w.family);
  const VI zero = hn::Set(kDi, w.family.zero);
  for_units<F>(w.panel(panel), w.units(), begin, end,
               [&](int64_t unit, const uint8_t* codes, const uint8_t* scales, const uint8_t* mins,
                   const uint8_t* super) HWY_ATTR {
                 for (int64_t part = 0; part < kParts; ++part) {
                   const uint8_t* p = codes + 4 * kLanes * part;
                   const UnitScales<F> s =
                       load_scales<F>(scales, mins, load_super<F>(super, part), part);
                   float* to = out + (unit - begin) * kUnitColumns * kPanelRows + kLanes * part;
                   const auto put = [&](int j, VI four) HWY_ATTR {
                     const int g = F::kGroups == 1 ? 0 : j / 4;
                     for (int b = 0; b < 4; ++b) {
                       const VI code = hn::And(four, hn::Set(kDi, 255));
                       four = shift<8>(four);
                       VF value = hn::Mul(s.scale[g], hn::ConvertTo(kDf, hn::Sub(code, zero)));
                       if constexpr (F::kMin) value = hn::Add(value, s.min[g]);
                       hn::StoreU(value, kDf, to + (4 * j + b) * kPanelRows);
                     }
                   };
                   put(0, unpack<F, 0>(p, table));
                   put(1, unpack<F, 1>(p, table));
                   put(2, unpack<F, 2>(p, table));
                   put(3, unpack<F, 3>(p, table));
                   put(4, unpack<F, 4>(p, table));
                   put(5, unpack<F, 5>(p, table));
                   put(6, unpack<F, 6>(p, table));
                   put(7, unpack<F, 7>(p, table));
                 }
               });
}

template <class F>
void decoded_matmul(const PackedView& w, const float* x, int64_t ldx, int64_t m,
                    int64_t panel_begin, int64_t panel_end, float* y, int64_t ldy) {
  HWY_ALIGN float block[kDecodeUnits * kUnitColumns * kPanelRows];
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    const int64_t row = panel * kPanelRows;
    for (int64_t unit = 0; unit < w.units(); unit += kDecodeUnits) {
      const int64_t end = HWY_MIN(unit + kDecodeUnits, w.units());
      decode_panel<F>(w, panel, unit, end, block);
      float_tokens<Coding::kF32, 1>(reinterpret_cast<const uint8_t*>(block), 0,
                                    (end - unit) * kUnitColumns, x + unit * kUnitColumns, ldx, m,
                                    unit == 0, y + row, ldy, w.rows - row);
    }
  }
}
