// Per-target header, after dot4-inl.h: from packed bytes to operands of dot4.

/// What a kernel must know of a family at compile time.
template <int kBitsV, Coding kCodingV, ScaleKind kScaleV, int kGroupV>
struct Family {
  static constexpr int kBits = kBitsV;
  static constexpr bool kTable = kCodingV == Coding::kTable;
  static constexpr ScaleKind kScale = kScaleV;
  static constexpr bool kSuper = kScaleV >= ScaleKind::kSuper;
  static constexpr bool kMin = kScaleV == ScaleKind::kF16Min || kScaleV == ScaleKind::kSuperMin ||
                               kScaleV == ScaleKind::kSuperNibble;
  static constexpr int kGroups = 32 / kGroupV;  ///< per unit
  /// Affine families with a min have no zero (packed_view.h).
  static constexpr bool kZero = !kMin || kTable;
  /// Bits of the unsigned operand: table entries use all eight.
  static constexpr int kOperandBits = kTable ? 8 : kBitsV;

  // PackedLayout's numbers, as constants.
  static constexpr int64_t kSuperBytes = kSuper ? (kMin ? 64 : 32) : 0;
  static constexpr int64_t kBlockUnits = kSuper ? 8 : 2;
  static constexpr int64_t kCodeBytes = 64 * kBitsV;
  static constexpr int64_t kScaleBytes = (kSuper ? 16 : 32) * kGroups;  ///< of a unit
  static constexpr bool kSeparateMin =
      kScaleV == ScaleKind::kF16Min || kScaleV == ScaleKind::kSuperMin;
  static constexpr int64_t kBlockBytes =
      kBlockUnits * (kScaleBytes * (kSeparateMin ? 2 : 1) + kCodeBytes);
};

/// (v >> kShift) for positive, (v << -kShift) for negative shifts.
template <int kShift>
HWY_INLINE VI shift(VI v) {
  if constexpr (kShift > 0) {
    return hn::BitCast(kDi, hn::ShiftRight<kShift>(hn::BitCast(hn::RebindToUnsigned<DI>(), v)));
  } else if constexpr (kShift < 0) {
    return hn::ShiftLeft<-kShift>(v);
  } else {
    return v;
  }
}
HWY_INLINE VI byte_mask(int value) { return hn::Set(kDi, 0x01010101 * value); }

/// Operand kJ (0..7) of a unit: columns 4·kJ … 4·kJ+3 of every row. `p` is the unit's first plane
/// plus the part's offset; loads of the same plane bytes by neighbouring kJ are shared by the
/// compiler.
template <class F, int kJ>
HWY_INLINE VI unpack(const uint8_t* p, [[maybe_unused]] VI table) {
  if constexpr (F::kBits == 8) {
    return load_codes(p + 64 * kJ);
  } else if constexpr (F::kBits == 2 || F::kBits == 3) {
    const VI low = hn::And(shift<2 * (kJ % 4)>(load_codes(p + 64 * (kJ / 4))), byte_mask(3));
    if constexpr (F::kBits == 2) return low;
    return hn::OrAnd(low, shift<kJ - 2>(load_codes(p + 128)), byte_mask(4));
  } else {
    const VI low = hn::And(shift<4 * (kJ % 2)>(load_codes(p + 64 * (kJ / 2))), byte_mask(15));
    if constexpr (F::kBits == 5) {
      return hn::OrAnd(low, shift<kJ - 4>(load_codes(p + 256)), byte_mask(16));
    } else if constexpr (F::kBits == 6) {
      return hn::OrAnd(low, shift<2 * (kJ % 4) - 4>(load_codes(p + 256 + 64 * (kJ / 4))),
                       byte_mask(48));
    } else if constexpr (F::kTable) {
      const D8 d8;
      return hn::BitCast(kDi, hn::TableLookupBytes(hn::BitCast(d8, table), hn::BitCast(d8, low)));
    } else {
      return low;
    }
  }
}

HWY_INLINE VI load_table(const PackedFamily& family) {
  const D8 d8;
  alignas(16) uint8_t table[16];
  __builtin_memcpy(table, family.table.data(), 16);
  return hn::BitCast(kDi, hn::LoadDup128(d8, table));
}

HWY_INLINE VF load_halves(const uint8_t* p) {
  const hn::Rebind<hwy::float16_t, DF> dh;
  return hn::PromoteTo(kDf, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(p)));
}
HWY_INLINE VF load_int8(const uint8_t* p) {
  const hn::Rebind<int8_t, DF> d;
  return hn::ConvertTo(kDf, hn::PromoteTo(kDi, hn::LoadU(d, reinterpret_cast<const int8_t*>(p))));
}

/// Super-scales of 256 columns for one part.
struct SuperScales {
  VF scale, min;
};
template <class F>
HWY_INLINE SuperScales load_super(const uint8_t* super, int64_t part) {
  SuperScales s{hn::Zero(kDf), hn::Zero(kDf)};
  if constexpr (F::kSuper) {
    s.scale = load_halves(super + 2 * kLanes * part);
    if constexpr (F::kMin) s.min = load_halves(super + 32 + 2 * kLanes * part);
  }
  return s;
}

/// f32 scales and mins of one unit's groups for one part. Products are exact (binary16 × int8).
template <class F>
struct UnitScales {
  VF scale[F::kGroups];
  VF min[F::kGroups];
};
template <class F>
HWY_INLINE UnitScales<F> load_scales(const uint8_t* scales, const uint8_t* mins,
                                     const SuperScales& super, int64_t part) {
  UnitScales<F> s;
  for (int g = 0; g < F::kGroups; ++g) {
    s.min[g] = hn::Zero(kDf);
    if constexpr (!F::kSuper) {
      s.scale[g] = load_halves(scales + 32 * g + 2 * kLanes * part);
      if constexpr (F::kMin) s.min[g] = load_halves(mins + 32 * g + 2 * kLanes * part);
    } else if constexpr (F::kScale == ScaleKind::kSuperNibble) {
      const hn::Rebind<uint8_t, DF> d;
      const VI both = hn::PromoteTo(kDi, hn::LoadU(d, scales + 16 * g + kLanes * part));
      s.scale[g] = hn::Mul(super.scale, hn::ConvertTo(kDf, hn::And(both, hn::Set(kDi, 15))));
      s.min[g] = hn::Mul(super.min, hn::ConvertTo(kDf, shift<4>(both)));
    } else {
      s.scale[g] = hn::Mul(super.scale, load_int8(scales + 16 * g + kLanes * part));
      if constexpr (F::kMin) {
        s.min[g] = hn::Mul(super.min, load_int8(mins + 16 * g + kLanes * part));
      }
    }
  }
  return s;
}

/// Calls body(unit, codes, scales, mins, super) for units [begin, end) of a panel, in order;
/// `begin` is the first unit of a block. Pointers are those of the whole panel (add the part's
/// offset).
template <class F, class Body>
HWY_INLINE void for_units(const uint8_t* panel, int64_t units, int64_t begin, int64_t end,
                          Body&& body) {
  constexpr int64_t kMins = F::kSeparateMin ? 2 : 1;
  const int64_t header = (F::kSuperBytes * (units / 8) + 63) / 64 * 64;
  const uint8_t* super = panel + F::kSuperBytes * (begin / 8);
  const uint8_t* block = panel + header + begin / F::kBlockUnits * F::kBlockBytes;
  for (int64_t unit = begin; unit < end; unit += F::kBlockUnits) {
    const int64_t n = HWY_MIN(F::kBlockUnits, units - unit);
    const uint8_t* mins = block + n * F::kScaleBytes;
    const uint8_t* codes = block + n * F::kScaleBytes * kMins;
    const int64_t todo = HWY_MIN(n, end - unit);
    for (int64_t i = 0; i < todo; ++i) {
      body(unit + i, codes + i * F::kCodeBytes, block + i * F::kScaleBytes,
           mins + i * F::kScaleBytes, super);
    }
    super += F::kSuperBytes;
    block += F::kBlockBytes;
  }
}
