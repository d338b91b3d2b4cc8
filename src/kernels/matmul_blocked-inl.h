// Per-target header, after matmul_stream-inl.h: products with many tokens. A block of a few panels
// × kBlockColumns columns is expanded once to bytes and f32 scales in the first-level cache, then
// used by all tokens; sums rest in y between blocks. The kernel over expanded blocks does not
// depend on the format; only the expansion does.

constexpr int64_t kExpandUnits = 16;  ///< units of a block; a multiple of every format's block
static_assert(kExpandUnits % 8 == 0);

/// One unit of kPanels panels, expanded.
template <int kPanels>
struct alignas(64) ExpandedUnit {
  uint8_t codes[8][kPanels][64];
  float scale[2][kPanels][16];  ///< [1] only for groups of 16
  float min[2][kPanels][16];
};

template <class F, int kPanels>
HWY_NOINLINE void expand_panel(const PackedView& w, int64_t panel, int slot, int64_t unit_begin,
                               int64_t unit_end, ExpandedUnit<kPanels>* out) {
  const VI table = load_table(w.family);
  for_units<F>(
      w.panel(panel), w.units(), unit_begin, unit_end,
      [&](int64_t unit, const uint8_t* codes, const uint8_t* scales, const uint8_t* mins,
          const uint8_t* super) HWY_ATTR {
        ExpandedUnit<kPanels>& to = out[unit - unit_begin];
        for (int64_t part = 0; part < kParts; ++part) {
          const uint8_t* p = codes + 4 * kLanes * part;
          const auto put = [&](int j, VI v) HWY_ATTR {
            hn::StoreU(v, kDi, reinterpret_cast<int32_t*>(to.codes[j][slot] + 4 * kLanes * part));
          };
          put(0, unpack<F, 0>(p, table));
          put(1, unpack<F, 1>(p, table));
          put(2, unpack<F, 2>(p, table));
          put(3, unpack<F, 3>(p, table));
          put(4, unpack<F, 4>(p, table));
          put(5, unpack<F, 5>(p, table));
          put(6, unpack<F, 6>(p, table));
          put(7, unpack<F, 7>(p, table));
          const UnitScales<F> s = load_scales<F>(scales, mins, load_super<F>(super, part), part);
          for (int g = 0; g < F::kGroups; ++g) {
            hn::StoreU(s.scale[g], kDf, to.scale[g][slot] + kLanes * part);
            if constexpr (F::kMin) hn::StoreU(s.min[g], kDf, to.min[g][slot] + kLanes * part);
          }
        }
      });
}

/// kPanels panels × kT tokens over one expanded block; acc comes from and goes back to y.
template <int kBits, int kGroups, bool kMin, bool kZero, int kPanels, int kT>
HWY_NOINLINE void blocked_tile(const ExpandedUnit<kPanels>* block, int64_t units, int zero_shift,
                               TileOperands x, bool first, float* y, int64_t ldy, int64_t rows) {
  for (int64_t part = 0; part < kParts; ++part) {
    TileOperands at = x;
    VF acc[kPanels][kT];
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(8)
      for (int t = 0; t < kT; ++t) {
        const int64_t offset = 16 * p + kLanes * part;
        acc[p][t] = first ? hn::Zero(kDf) : load_lanes(y + t * ldy + offset, rows - offset);
      }
    }
    for (int64_t u = 0; u < units; ++u) {
      const ExpandedUnit<kPanels>& w = block[u];
      VI dot[kPanels][kT];
      VF sum[kPanels][kT];
      HWY_UNROLL(2)
      for (int g = 0; g < kGroups; ++g) {
        HWY_UNROLL(8)
        for (int t = 0; t < kT; ++t) {
          VI start = hn::Zero(kDi);
          if constexpr (kZero) {
            start = hn::ShiftLeftSame(
                broadcast_codes((kGroups == 1 ? at.minus : at.minus_half + g * at.half_stride) +
                                4 * t),
                zero_shift);
          }
          HWY_UNROLL(8)
          for (int p = 0; p < kPanels; ++p) dot[p][t] = start;
        }
        HWY_UNROLL(8)
        for (int jj = 0; jj < 8 / kGroups; ++jj) {
          const int j = g * 4 + jj;
          VI codes[kPanels];
          HWY_UNROLL(8)
          for (int p = 0; p < kPanels; ++p)
            codes[p] = load_codes(w.codes[j][p] + 4 * kLanes * part);
          HWY_UNROLL(8)
          for (int t = 0; t < kT; ++t) {
            const VI four = broadcast_codes(at.codes + 32 * t + 4 * j);
            HWY_UNROLL(8)
            for (int p = 0; p < kPanels; ++p) dot[p][t] = dot4<kBits>(dot[p][t], codes[p], four);
          }
        }
        HWY_UNROLL(8)
        for (int p = 0; p < kPanels; ++p) {
          const VF scale = hn::LoadU(kDf, w.scale[g][p] + kLanes * part);
          HWY_UNROLL(8)
          for (int t = 0; t < kT; ++t) {
            const VF value = hn::ConvertTo(kDf, dot[p][t]);
            if constexpr (kGroups == 1) {
              acc[p][t] =
                  hn::MulAdd(value, hn::Mul(scale, broadcast_float(at.scale + 4 * t)), acc[p][t]);
            } else if (g == 0) {
              sum[p][t] = hn::Mul(value, scale);
            } else {
              sum[p][t] = hn::MulAdd(value, scale, sum[p][t]);
            }
          }
        }
      }
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) {
        HWY_UNROLL(8)
        for (int t = 0; t < kT; ++t) {
          if constexpr (kGroups == 1) {
            if constexpr (kMin) {
              acc[p][t] = hn::MulAdd(hn::LoadU(kDf, w.min[0][p] + kLanes * part),
                                     broadcast_float(at.sum + 4 * t), acc[p][t]);
            }
          } else {
            if constexpr (kMin) {
              HWY_UNROLL(2)
              for (int g = 0; g < 2; ++g) {
                sum[p][t] = hn::NegMulAdd(
                    hn::ConvertTo(kDf, broadcast_codes(at.minus_half + g * at.half_stride + 4 * t)),
                    hn::LoadU(kDf, w.min[g][p] + kLanes * part), sum[p][t]);
              }
            }
            acc[p][t] = hn::MulAdd(sum[p][t], broadcast_float(at.scale + 4 * t), acc[p][t]);
          }
        }
      }
      at.next();
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

/// kPanels panels from `panel` on, all tokens.
template <class F, int kPanels>
HWY_NOINLINE void blocked_panels(const PackedView& w, const QuantizedRows& x, int64_t panel,
                                 float* y, int64_t ldy) {
  ExpandedUnit<kPanels> block[kExpandUnits];
  const int zero_shift = F::kZero ? __builtin_ctz(w.family.zero) : 0;
  const int64_t row = panel * kPanelRows;
  const int64_t rows = w.rows - row;
  const int64_t tiles = (x.m + QuantizedRows::kTile - 1) / QuantizedRows::kTile;
  for (int64_t unit = 0; unit < w.units(); unit += kExpandUnits) {
    const int64_t end = HWY_MIN(unit + kExpandUnits, w.units());
    for (int p = 0; p < kPanels; ++p) {
      expand_panel<F, kPanels>(w, panel + p, p, unit, end, block);
    }
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t n = x.tile_tokens(tile);
      for (int64_t t = 0; t < n;) {
        const auto run = [&]<int kT>() HWY_ATTR {
          blocked_tile<F::kOperandBits, F::kGroups, F::kMin, F::kZero, kPanels, kT>(
              block, end - unit, zero_shift, TileOperands(x, tile, unit, t), unit == 0,
              y + (tile * QuantizedRows::kTile + t) * ldy + row, ldy, rows);
          t += kT;
        };
        if (n - t >= kBlockedTokens) {
          run.template operator()<kBlockedTokens>();
        } else if (kBlockedTokens > 2 && n - t >= 2) {
          run.template operator()<2>();
        } else {
          run.template operator()<1>();
        }
      }
    }
  }
}

template <class F>
void blocked_matmul(const PackedView& w, const QuantizedRows& x, int64_t panel_begin,
                    int64_t panel_end, float* y, int64_t ldy) {
  int64_t panel = panel_begin;
  for (; panel + kBlockedPanels <= panel_end; panel += kBlockedPanels) {
    blocked_panels<F, kBlockedPanels>(w, x, panel, y, ldy);
  }
  for (; panel < panel_end; ++panel) blocked_panels<F, 1>(w, x, panel, y, ldy);
}
