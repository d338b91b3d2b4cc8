#pragma once

#include <optional>
#include <vector>

#include "assertions/lower/aig.h"

/// Arithmetic on words of literals, least significant bit first. Unless said otherwise the operands have equal widths
/// and so has the result.
namespace callie::assertions {

using Word = std::vector<Lit>;

Word constant_word(uint64_t value, int width);
/// The value when all bits are constant and it fits into 64 bits (sign-extended when `is_signed`).
std::optional<int64_t> constant_value(const Word& word, bool is_signed);
bool is_constant(const Word& word);
/// Truncates or extends (by the sign when `is_signed`).
Word resize(Word word, int width, bool is_signed);

Word invert(const Word& a);
Word add(Aig& aig, const Word& a, const Word& b, Lit carry = kFalse);
Word subtract(Aig& aig, const Word& a, const Word& b);
Word negate_word(Aig& aig, const Word& a);
Word multiply(Aig& aig, const Word& a, const Word& b);
/// Unsigned; the result for b = 0 is meaningless.
void divide(Aig& aig, const Word& a, const Word& b, Word& quotient, Word& remainder);
Word mux(Aig& aig, Lit condition, const Word& then_value, const Word& else_value);
/// The amount may have any width. `fill` enters a right shift.
Word shift_left(Aig& aig, const Word& a, const Word& amount);
Word shift_right(Aig& aig, const Word& a, const Word& amount, Lit fill);

Lit equal(Aig& aig, const Word& a, const Word& b);
Lit less(Aig& aig, const Word& a, const Word& b, bool is_signed);
Lit any(Aig& aig, const Word& a);
Lit all(Aig& aig, const Word& a);
Lit parity(Aig& aig, const Word& a);
/// The number of ones, `width` bits wide.
Word count_ones(Aig& aig, const Word& a, int width);
/// At most one bit is set.
Lit at_most_one(Aig& aig, const Word& a);
/// values[index] of values of one width; an index beyond the end gives the last. O(values) muxes.
Word select(Aig& aig, const std::vector<Word>& values, const Word& index);

}  // namespace callie::assertions
