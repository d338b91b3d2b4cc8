#include <algorithm>

#include "assertions/lower/property.h"

/// Where sequences match.
namespace callie::assertions {

using ast::Prop;
using ast::PropKind;

bool PropertyLowering::is_sequence(const Prop& p) const {
  switch (p.kind) {
    case PropKind::kBoolean: return true;
    case PropKind::kDelay: case PropKind::kRepeat: case PropKind::kGoto: case PropKind::kNonConsec:
    case PropKind::kThroughout: case PropKind::kWithin: case PropKind::kIntersect: case PropKind::kAnd:
    case PropKind::kOr: case PropKind::kFirstMatch:
      return std::all_of(p.args.begin(), p.args.end(), [&](const Prop& arg) { return is_sequence(arg); });
    default: return false;
  }
}

// The sequence matches exactly [i, j]; j = i - 1 is the empty match.
Lit PropertyLowering::match(const Prop& s, int i, int j, int k, bool fill) {
  e_.charge(s.span);
  if (s.kind == PropKind::kBoolean) return i == j ? atom(*s.expr, i, k, fill) : kFalse;
  const auto key = std::tuple{&s, i, j, k, fill, -1};
  if (const auto it = matches_.find(key); it != matches_.end()) return it->second;
  Aig& aig = e_.aig_;
  Lit out = kFalse;
  switch (s.kind) {
    case PropKind::kDelay: {
      const Range r = range(s);
      const int high = std::min(r.high, j - i + 1);
      if (s.args.size() == 1) {
        for (int d = r.low; d <= high; ++d) out = aig.lor(out, match(s.args[0], i + d, j, k, fill));
        break;
      }
      const bool left_empty = match(s.args[0], i, i - 1, k, fill) != kFalse;
      for (int m = i - 1; m <= j; ++m) {
        if (m == i - 1 && !left_empty) continue;
        const Lit left = match(s.args[0], i, m, k, fill);
        if (left == kFalse) continue;
        for (int d = r.low; d <= high; ++d) {
          // Annex F: the right side starts d cycles behind the end of the left one; an empty left side or right side
          // takes part for d >= 1 only, where it shortens the delay by one.
          if (m == i - 1 && d == 0) continue;
          const int start = m == i - 1 ? i + d - 1 : m + d;
          Lit right = start <= j ? match(s.args[1], start, j, k, fill) : kFalse;
          if (d >= 1 && j == (m == i - 1 ? i + d - 2 : m + d - 1)) right = aig.lor(right, match(s.args[1], j + 1, j, k, fill));
          out = aig.lor(out, aig.land(left, right));
        }
      }
      break;
    }
    case PropKind::kRepeat: {
      const Range r = range(s);
      for (int n = r.low; n <= std::min(r.high, j - i + 1); ++n) out = aig.lor(out, match_repeat(s.args[0], n, i, j, k, fill));
      if (r.low == 0 && j == i - 1) out = kTrue;
      break;
    }
    case PropKind::kThroughout: {
      if (s.args[0].kind != PropKind::kBoolean) unsupported(s);
      out = match(s.args[1], i, j, k, fill);
      for (int t = i; t <= j && out != kFalse; ++t) out = aig.land(out, atom(*s.args[0].expr, t, k, fill));
      break;
    }
    case PropKind::kIntersect: out = aig.land(match(s.args[0], i, j, k, fill), match(s.args[1], i, j, k, fill)); break;
    case PropKind::kOr: out = aig.lor(match(s.args[0], i, j, k, fill), match(s.args[1], i, j, k, fill)); break;
    case PropKind::kAnd:
      for (int m = i - 1; m <= j; ++m) {
        out = aig.lor(out, aig.land(match(s.args[0], i, m, k, fill), match(s.args[1], i, j, k, fill)));
        out = aig.lor(out, aig.land(match(s.args[0], i, j, k, fill), match(s.args[1], i, m, k, fill)));
      }
      break;
    case PropKind::kWithin: {
      const Lit outer = match(s.args[1], i, j, k, fill);
      Lit inner = kFalse;
      for (int a = i; a <= j && outer != kFalse; ++a) {
        for (int b = a - 1; b <= j; ++b) inner = aig.lor(inner, match(s.args[0], a, b, k, fill));
      }
      out = aig.land(outer, inner);
      break;
    }
    case PropKind::kFirstMatch:
      out = match(s.args[0], i, j, k, fill);
      for (int m = i - 1; m < j && out != kFalse; ++m) out = aig.land(out, negate(match(s.args[0], i, m, k, !fill)));
      break;
    default: unsupported(s);
  }
  return matches_[key] = out;
}

Lit PropertyLowering::match_repeat(const Prop& s, int n, int i, int j, int k, bool fill) {
  if (n == 0) return j == i - 1 ? kTrue : kFalse;
  if (n == 1) return match(s, i, j, k, fill);
  const auto key = std::tuple{&s, i, j, k, fill, n};
  if (const auto it = matches_.find(key); it != matches_.end()) return it->second;
  if (n > kMaxWindow) unsupported(s);
  Lit out = kFalse;
  for (int m = i; m < j; ++m) {
    const Lit first = match(s, i, m, k, fill);
    if (first != kFalse) out = e_.aig_.lor(out, e_.aig_.land(first, match_repeat(s, n - 1, m + 1, j, k, fill)));
  }
  return matches_[key] = out;
}

// A sequence as a property: some match that is not empty.
Lit PropertyLowering::matched(const Prop& s, int i, int k, bool fill) {
  Lit out = kFalse;
  for (int j = i; j <= i + length(s); ++j) out = e_.aig_.lor(out, match(s, i, j, k, fill));
  return out;
}

}  // namespace callie::assertions
