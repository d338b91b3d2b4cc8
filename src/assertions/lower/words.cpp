#include "assertions/lower/words.h"

#include <algorithm>

namespace callie::assertions {

Word constant_word(uint64_t value, int width) {
  Word out(static_cast<size_t>(width), kFalse);
  for (int i = 0; i < width && i < 64; ++i) out[i] = value >> i & 1;
  return out;
}

bool is_constant(const Word& word) {
  return std::all_of(word.begin(), word.end(), [](Lit lit) { return is_constant(lit); });
}

std::optional<int64_t> constant_value(const Word& word, bool is_signed) {
  if (!is_constant(word) || word.empty()) return std::nullopt;
  const Lit fill = is_signed ? word.back() : kFalse;
  uint64_t value = 0;
  for (size_t i = 0; i < std::max<size_t>(word.size(), 64); ++i) {
    const Lit bit = i < word.size() ? word[i] : fill;
    if (i < 64) value |= static_cast<uint64_t>(bit) << i;
    else if (bit != (is_signed ? static_cast<Lit>(value >> 63) : kFalse)) return std::nullopt;
  }
  if (!is_signed && value >> 63) return std::nullopt;
  return static_cast<int64_t>(value);
}

Word resize(Word word, int width, bool is_signed) {
  const Lit fill = is_signed && !word.empty() ? word.back() : kFalse;
  word.resize(static_cast<size_t>(width), fill);
  return word;
}

Word invert(const Word& a) {
  Word out = a;
  for (Lit& lit : out) lit = negate(lit);
  return out;
}

Word add(Aig& aig, const Word& a, const Word& b, Lit carry) {
  Word out(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const Lit half = aig.lxor(a[i], b[i]);
    out[i] = aig.lxor(half, carry);
    if (i + 1 < a.size()) carry = aig.lor(aig.land(a[i], b[i]), aig.land(half, carry));
  }
  return out;
}

Word subtract(Aig& aig, const Word& a, const Word& b) { return add(aig, a, invert(b), kTrue); }

Word negate_word(Aig& aig, const Word& a) { return add(aig, constant_word(0, static_cast<int>(a.size())), invert(a), kTrue); }

Word multiply(Aig& aig, const Word& a, const Word& b) {
  Word out(a.size(), kFalse);
  for (size_t i = 0; i < a.size(); ++i) {
    if (b[i] == kFalse) continue;
    Word row(a.size(), kFalse);
    for (size_t j = 0; i + j < a.size(); ++j) row[i + j] = aig.land(a[j], b[i]);
    out = add(aig, out, row);
  }
  return out;
}

void divide(Aig& aig, const Word& a, const Word& b, Word& quotient, Word& remainder) {
  const int width = static_cast<int>(a.size());
  Word rest(static_cast<size_t>(width) + 1, kFalse);
  const Word divisor = resize(b, width + 1, false);
  quotient.assign(a.size(), kFalse);
  for (int i = width - 1; i >= 0; --i) {
    rest.pop_back();
    rest.insert(rest.begin(), a[i]);
    const Lit fits = negate(less(aig, rest, divisor, false));
    quotient[i] = fits;
    rest = mux(aig, fits, subtract(aig, rest, divisor), rest);
  }
  remainder = resize(rest, width, false);
}

Word mux(Aig& aig, Lit condition, const Word& then_value, const Word& else_value) {
  Word out(then_value.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = aig.lmux(condition, then_value[i], else_value[i]);
  return out;
}

namespace {

Word shift(Aig& aig, Word a, const Word& amount, Lit fill, bool left) {
  const size_t n = a.size();
  size_t bit = 0;
  for (; bit < amount.size() && (size_t{1} << bit) < n; ++bit) {
    const size_t by = size_t{1} << bit;
    Word moved(n, fill);
    for (size_t i = 0; i + by < n; ++i) {
      if (left) moved[i + by] = a[i];
      else moved[i] = a[i + by];
    }
    a = mux(aig, amount[bit], moved, a);
  }
  Lit beyond = kFalse;
  for (; bit < amount.size(); ++bit) beyond = aig.lor(beyond, amount[bit]);
  return mux(aig, beyond, Word(n, fill), a);
}

}  // namespace

Word shift_left(Aig& aig, const Word& a, const Word& amount) { return shift(aig, a, amount, kFalse, true); }
Word shift_right(Aig& aig, const Word& a, const Word& amount, Lit fill) { return shift(aig, a, amount, fill, false); }

Lit equal(Aig& aig, const Word& a, const Word& b) {
  Word same(a.size());
  for (size_t i = 0; i < a.size(); ++i) same[i] = aig.lequiv(a[i], b[i]);
  return all(aig, same);
}

Lit less(Aig& aig, const Word& a, const Word& b, bool is_signed) {
  Lit out = kFalse;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool sign = is_signed && i + 1 == a.size();
    const Lit smaller = sign ? aig.land(a[i], negate(b[i])) : aig.land(negate(a[i]), b[i]);
    out = aig.lmux(aig.lxor(a[i], b[i]), smaller, out);
  }
  return out;
}

Lit all(Aig& aig, const Word& a) {
  Word level = a;
  while (level.size() > 1) {
    Word next;
    for (size_t i = 0; i + 1 < level.size(); i += 2) next.push_back(aig.land(level[i], level[i + 1]));
    if (level.size() % 2) next.push_back(level.back());
    level = std::move(next);
  }
  return level.empty() ? kTrue : level[0];
}

Lit any(Aig& aig, const Word& a) { return negate(all(aig, invert(a))); }

Lit parity(Aig& aig, const Word& a) {
  Lit out = kFalse;
  for (Lit lit : a) out = aig.lxor(out, lit);
  return out;
}

Word count_ones(Aig& aig, const Word& a, int width) {
  Word out = constant_word(0, width);
  for (Lit lit : a) {
    Lit carry = lit;
    for (Lit& bit : out) {
      const Lit old = bit;
      bit = aig.lxor(old, carry);
      carry = aig.land(old, carry);
    }
  }
  return out;
}

Lit at_most_one(Aig& aig, const Word& a) {
  Lit seen = kFalse, twice = kFalse;
  for (Lit lit : a) {
    twice = aig.lor(twice, aig.land(seen, lit));
    seen = aig.lor(seen, lit);
  }
  return negate(twice);
}

Word select(Aig& aig, const std::vector<Word>& values, const Word& index) {
  std::vector<Word> level = values;
  size_t bit = 0;
  Lit beyond = kFalse;
  while (level.size() > 1 && bit < index.size()) {
    std::vector<Word> next;
    for (size_t i = 0; i < level.size(); i += 2) {
      next.push_back(i + 1 < level.size() ? mux(aig, index[bit], level[i + 1], level[i]) : level[i]);
    }
    level = std::move(next);
    ++bit;
  }
  for (; bit < index.size(); ++bit) beyond = aig.lor(beyond, index[bit]);
  return beyond == kFalse ? level[0] : mux(aig, beyond, values.back(), level[0]);
}

}  // namespace callie::assertions
