// Per-target header, the last one: from a run-time family to its kernels, and the target's table.

/// Tokens from which on expanding a block pays.
constexpr int64_t kBlockedFrom = (CALLIE_DOT == 4 ? 8 : 2) * QuantizedRows::kTile + 1;

/// Calls body.operator()<F>() with the family's compile-time twin; `streamed` families have kernels
/// that unpack in registers, the others always expand. Families outside the list
/// (PackedMatrix::over checks them) do nothing.
template <class Body>
void visit_family(const PackedFamily& f, Body&& body) {
  const auto bits = [&]<Coding kCoding, ScaleKind kScale, int kGroup>() {
    switch (f.bits) {
      case 2:
        body.template operator()<Family<2, kCoding, kScale, kGroup>>();
        break;
      case 3:
        body.template operator()<Family<3, kCoding, kScale, kGroup>>();
        break;
      case 4:
        body.template operator()<Family<4, kCoding, kScale, kGroup>>();
        break;
      case 5:
        body.template operator()<Family<5, kCoding, kScale, kGroup>>();
        break;
      case 6:
        body.template operator()<Family<6, kCoding, kScale, kGroup>>();
        break;
      case 8:
        body.template operator()<Family<8, kCoding, kScale, kGroup>>();
        break;
      default:
        break;
    }
  };
  const bool wide = f.group == 32;
  if (f.coding == Coding::kTable) {
    if (f.scale == ScaleKind::kF16) {
      body.template operator()<Family<4, Coding::kTable, ScaleKind::kF16, 32>>();
    } else {
      body.template operator()<Family<4, Coding::kTable, ScaleKind::kSuper, 32>>();
    }
    return;
  }
  switch (f.scale) {
    case ScaleKind::kF16:
      bits.template operator()<Coding::kAffine, ScaleKind::kF16, 32>();
      break;
    case ScaleKind::kF16Min:
      bits.template operator()<Coding::kAffine, ScaleKind::kF16Min, 32>();
      break;
    case ScaleKind::kSuper:
      if (wide) {
        bits.template operator()<Coding::kAffine, ScaleKind::kSuper, 32>();
      } else {
        bits.template operator()<Coding::kAffine, ScaleKind::kSuper, 16>();
      }
      break;
    case ScaleKind::kSuperMin:
      bits.template operator()<Coding::kAffine, ScaleKind::kSuperMin, 32>();
      break;
    case ScaleKind::kSuperNibble:
      bits.template operator()<Coding::kAffine, ScaleKind::kSuperNibble, 16>();
      break;
    case ScaleKind::kNone:
      break;
  }
}

/// Families of on-disk formats get streaming kernels.
template <class F>
constexpr bool is_streamed() {
  if (F::kTable) return true;
  switch (F::kScale) {
    case ScaleKind::kF16:
      return F::kBits == 4 || F::kBits == 5 || F::kBits == 8;
    case ScaleKind::kF16Min:
      return F::kBits == 4 || F::kBits == 5;
    case ScaleKind::kSuper:
      return F::kGroups == 2 && (F::kBits == 3 || F::kBits == 6);
    case ScaleKind::kSuperMin:
      return F::kBits == 4 || F::kBits == 5;
    case ScaleKind::kSuperNibble:
      return F::kBits == 2;
    default:
      return false;
  }
}

void matmul_here(const PackedView& w, const QuantizedRows& x, int64_t panel_begin,
                 int64_t panel_end, float* y, int64_t ldy) {
  visit_family(w.family, [&]<class F>() {
    if constexpr (is_streamed<F>()) {
      if (x.m < kBlockedFrom) {
        stream_matmul<F>(w, x, panel_begin, panel_end, y, ldy);
        return;
      }
    }
    blocked_matmul<F>(w, x, panel_begin, panel_end, y, ldy);
  });
}

void matmul_f32_here(const PackedView& w, const float* x, int64_t ldx, int64_t m,
                     int64_t panel_begin, int64_t panel_end, float* y, int64_t ldy) {
  switch (w.family.coding) {
    case Coding::kF32:
      float_matmul<Coding::kF32>(w, x, ldx, m, panel_begin, panel_end, y, ldy);
      break;
    case Coding::kF16:
      float_matmul<Coding::kF16>(w, x, ldx, m, panel_begin, panel_end, y, ldy);
      break;
    case Coding::kBf16:
      float_matmul<Coding::kBf16>(w, x, ldx, m, panel_begin, panel_end, y, ldy);
      break;
    default:
      visit_family(w.family, [&]<class F>() {
        decoded_matmul<F>(w, x, ldx, m, panel_begin, panel_end, y, ldy);
      });
  }
}

/// Hides where a value comes from, and keeps it in a register.
HWY_INLINE void make_opaque(VI& v) {
#if CALLIE_DOT == 5
  asm volatile("" : "+w"(v.raw));
#else
  asm volatile("" : "+x"(v.raw));
#endif
}

/// Twelve independent chains keep every dot-product pipe busy (two pipes, five cycles of latency) and
/// fit into 16 registers. All loops are unrolled: an index that is not constant would keep the chains
/// in memory.
int64_t dot_peak_here(int64_t iterations) {
  constexpr int kChains = 12;
  VI acc[kChains];
  HWY_UNROLL(12)
  for (int i = 0; i < kChains; ++i) acc[i] = hn::Set(kDi, i);
  VI w = hn::Set(kDi, 0x01020304);
  const VI x = hn::Set(kDi, 0x01010101);
  for (int64_t n = 0; n < iterations; ++n) {
    HWY_UNROLL(12)
    for (int i = 0; i < kChains; ++i) {
      make_opaque(w);  // so that no product is computed once and added often
      acc[i] = dot4<7>(acc[i], w, x);
      make_opaque(acc[i]);
    }
  }
  VI sum = acc[0];
  HWY_UNROLL(12)
  for (int i = 1; i < kChains; ++i) sum = hn::Add(sum, acc[i]);
  volatile int32_t sink = hn::GetLane(sum);
  (void)sink;
  return iterations * kChains * kLanes * 4;
}
