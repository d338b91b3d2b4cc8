#include <algorithm>

#include "assertions/elaborate/elaborator.h"

/// Expressions to words of literals, with the width and sign rules of IEEE 1800-2017 section 11.6 and 11.8.
namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Op;

namespace {

bool is_comparison(Op op) { return op >= Op::kLt && op <= Op::kWildNe; }
bool is_shift(Op op) { return op == Op::kShl || op == Op::kShr || op == Op::kAshl || op == Op::kAshr; }
bool has_unknown(const Expr& expr) {
  if (expr.kind == ExprKind::kNumber) return expr.number->has_unknown();
  if (expr.kind != ExprKind::kConcat && expr.kind != ExprKind::kReplicate) return false;
  return std::any_of(expr.args.begin(), expr.args.end(), has_unknown);
}

// c ? x : '{...}: an arm takes its type from the target.
bool has_pattern(const Expr& expr) {
  return expr.kind == ExprKind::kPattern || (expr.kind == ExprKind::kTernary && (has_pattern(expr.args[1]) || has_pattern(expr.args[2])));
}

}  // namespace

bool Elaborator::is_empty_replication(const Expr& part, Frame& frame) {
  return part.kind == ExprKind::kReplicate && constant(part.args[0], frame, "a replication count") == 0;
}

Elaborator::ExprType Elaborator::type_of(const Expr& expr, Frame& frame) {
  ExprType out;
  const auto from = [](const Type* type) { return ExprType{type->width, type->is_signed, type, false}; };
  switch (expr.kind) {
    case ExprKind::kNumber: return {expr.number->width, expr.number->is_signed, nullptr, expr.number->fill};
    case ExprKind::kString: return {std::max(8, 8 * static_cast<int>(expr.name.size())), false, nullptr, false};
    case ExprKind::kName: case ExprKind::kMember: case ExprKind::kIndex:
    case ExprKind::kRange: case ExprKind::kRangeUp: case ExprKind::kRangeDown: {
      const Type* type = select_type(expr, frame);
      if (!type) {
        if (expr.kind == ExprKind::kName && !resolve(expr, frame)) fail(expr.span, fmt::format("unknown name '{}'", expr.name));
        fail(expr.span, "this is not a value");
      }
      out = from(type);
      if (expr.kind == ExprKind::kRange || expr.kind == ExprKind::kRangeUp || expr.kind == ExprKind::kRangeDown) out.is_signed = false;
      return out;
    }
    case ExprKind::kUnary:
      if (expr.op == Op::kPlus || expr.op == Op::kMinus || expr.op == Op::kBitNot) {
        out = type_of(expr.args[0], frame);
        out.type = nullptr;
        return out;
      }
      return out;
    case ExprKind::kBinary: {
      if (is_comparison(expr.op) || expr.op == Op::kLogicAnd || expr.op == Op::kLogicOr || expr.op == Op::kImplies || expr.op == Op::kEquiv) return out;
      const ExprType a = type_of(expr.args[0], frame);
      if (is_shift(expr.op) || expr.op == Op::kPower) return {a.width, a.is_signed, nullptr, false};
      const ExprType b = type_of(expr.args[1], frame);
      return {std::max(a.width, b.width), a.is_signed && b.is_signed, nullptr, a.is_fill && b.is_fill};
    }
    case ExprKind::kTernary: {
      const ExprType a = type_of(expr.args[1], frame), b = type_of(expr.args[2], frame);
      return {std::max(a.width, b.width), a.is_signed && b.is_signed, a.type && b.type && a.width == b.width ? a.type : nullptr, a.is_fill && b.is_fill};
    }
    case ExprKind::kConcat: {
      int64_t width = 0;
      for (const Expr& arg : expr.args) {
        if (is_empty_replication(arg, frame)) continue;
        const ExprType t = type_of(arg, frame);
        if (arg.kind == ExprKind::kNumber && !arg.number->sized) fail(arg.span, "a number without a size in a concatenation");
        width += t.width;
      }
      if (width > 65536) fail(expr.span, "a concatenation wider than 65536 bits");
      if (width == 0) fail(expr.span, "a concatenation without a bit");
      out.width = static_cast<int>(width);
      return out;
    }
    case ExprKind::kReplicate: {
      const int64_t count = constant(expr.args[0], frame, "a replication count");
      const int64_t width = type_of(expr.args[1], frame).width;
      if (count < 1 || count > 65536 || count * width > 65536) fail(expr.span, "a replication of 1 to 65536 bits expected");
      out.width = static_cast<int>(count * width);
      return out;
    }
    case ExprKind::kStream: return type_of(expr.args[1], frame);
    case ExprKind::kCall: return type_of_call(expr, frame);
    case ExprKind::kCast: {
      if (expr.type) return from(resolve_type(*expr.type, frame.scope));
      if (!expr.name.empty()) {
        out = type_of(expr.args[0], frame);
        if (expr.name != "const") { out.is_signed = expr.name == "signed"; out.type = nullptr; }
        return out;
      }
      if (expr.args[1].kind == ExprKind::kName) {
        const Symbol* symbol = resolve(expr.args[1], frame);
        if (symbol && symbol->kind == Symbol::Kind::kType) return from(symbol->type);
      }
      const int64_t width = constant(expr.args[1], frame, "the width of a cast");
      if (width < 1 || width > 65536) fail(expr.span, "a cast to 1 to 65536 bits expected");
      return {static_cast<int>(width), type_of(expr.args[0], frame).is_signed, nullptr, false};
    }
    case ExprKind::kInside: return out;
    case ExprKind::kPattern: unsupported(expr.span, "assignment pattern without a type");
    case ExprKind::kDollar: fail(expr.span, "'$' is not a value here");
    case ExprKind::kType: fail(expr.span, "a type is not a value");
    default: fail(expr.span, "not an expression");
  }
}

Word Elaborator::number_word(const ast::Number& number, int width, Span span, Frame& frame) {
  if (number.has_unknown() && frame.in_assertion) unsupported(span, "literal with x or z bits");
  Word out(static_cast<size_t>(width), kFalse);
  for (int i = 0; i < width; ++i) {
    const int at = number.fill ? 0 : i;
    if (number.unknown_bit(at)) out[i] = design_.unknown_bit(span);
    else if (number.bit(at)) out[i] = kTrue;
  }
  return out;
}

Word Elaborator::evaluate_self(const Expr& expr, Frame& frame) {
  const ExprType type = type_of(expr, frame);
  return evaluate(expr, type.width, type.is_signed, frame);
}

Lit Elaborator::condition(const Expr& expr, Frame& frame) { return any(aig_, evaluate_self(expr, frame)); }

Word Elaborator::evaluate_as(const Expr& expr, const Type* type, Frame& frame) {
  if (expr.kind == ExprKind::kPattern) return pattern_word(expr, type, frame);
  if (expr.kind == ExprKind::kTernary && (type->is_unpacked || has_pattern(expr))) {
    const Lit c = condition(expr.args[0], frame);
    return mux(aig_, c, evaluate_as(expr.args[1], type, frame), evaluate_as(expr.args[2], type, frame));
  }
  if (type->is_unpacked) {
    const Type* from = select_type(expr, frame);
    if (!from || !from->is_unpacked || from->width != type->width || from->kind != type->kind ||
        (from->kind == Type::Kind::kUnpacked && (from->left <= from->right) != (type->left <= type->right))) {
      unsupported(expr.span, "assignment between different unpacked types");
    }
    return read(resolve_target(expr, frame), frame, expr.span);
  }
  if (expr.kind == ExprKind::kStream) {
    // A wider target takes the bits at its left end (IEEE 1800-2017, 11.4.14.3).
    Word word = stream(expr, frame);
    const size_t width = static_cast<size_t>(type->width);
    if (word.size() > width) fail(expr.span, "a stream that is wider than its target");
    word.insert(word.begin(), width - word.size(), kFalse);
    return word;
  }
  const ExprType own = type_of(expr, frame);
  if (own.type && own.type->is_unpacked) fail(expr.span, "an unpacked value where a vector is expected");
  const int width = std::max(own.width, type->width);
  return resize(evaluate(expr, width, own.is_signed, frame), type->width, own.is_signed);
}

Word Elaborator::pattern_word(const Expr& expr, const Type* type, Frame& frame) {
  Word out(static_cast<size_t>(type->width), kFalse);
  const auto put = [&](int offset, const Type* part, const Expr& value) {
    const Word word = evaluate_as(value, part, frame);
    std::copy(word.begin(), word.end(), out.begin() + offset);
  };
  const bool keyed = !expr.keys.empty();
  const auto keyed_value = [&](const std::string& key) -> const Expr* {
    const Expr* fallback = nullptr;
    for (size_t i = 0; i < expr.keys.size(); ++i) {
      if (expr.keys[i] == key) return &expr.args[i];
      if (expr.keys[i] == "default") fallback = &expr.args[i];
    }
    return fallback;
  };
  if (!type->fields.empty()) {
    if (!keyed && expr.args.size() != type->fields.size()) fail(expr.span, "the pattern has another number of members");
    for (size_t i = 0; i < type->fields.size(); ++i) {
      const Type::Field& field = type->fields[i];
      const Expr* value = keyed ? keyed_value(field.name) : &expr.args[i];
      if (!value) fail(expr.span, fmt::format("the pattern gives no '{}'", field.name));
      put(field.offset, field.type, *value);
    }
    return out;
  }
  if (!type->is_array()) fail(expr.span, "a pattern for what is no array or struct");
  if (!keyed && static_cast<int>(expr.args.size()) != type->count()) fail(expr.span, "the pattern has another number of elements");
  for (int i = 0; i < type->count(); ++i) {
    const int index = type->left <= type->right ? type->left + i : type->left - i;
    const Expr* value = keyed ? keyed_value(std::to_string(index)) : &expr.args[i];
    if (!value) fail(expr.span, fmt::format("the pattern gives no element {}", index));
    const int position = type->kind == Type::Kind::kUnpacked ? index - type->low() : std::abs(index - type->right);
    put(position * type->element->width, type->element, *value);
  }
  return out;
}

int64_t Elaborator::constant(const Expr& expr, Frame& frame, std::string_view what) {
  const ExprType type = type_of(expr, frame);
  const auto value = constant_value(evaluate(expr, type.width, type.is_signed, frame), type.is_signed);
  if (!value) fail(expr.span, fmt::format("{} must be constant", what));
  return *value;
}

int64_t Elaborator::constant(const Expr& expr, Scope* scope, std::string_view what) {
  Frame frame;
  frame.scope = scope;
  return constant(expr, frame, what);
}

Word Elaborator::evaluate(const Expr& expr, int width, bool is_signed, Frame& frame) {
  charge(expr.span);
  switch (expr.kind) {
    case ExprKind::kNumber: return resize(number_word(*expr.number, expr.number->fill ? width : expr.number->width, expr.span, frame), width, is_signed);
    case ExprKind::kString: {
      Word out(static_cast<size_t>(std::max<size_t>(8, 8 * expr.name.size())), kFalse);
      for (size_t i = 0; i < expr.name.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) out[8 * (expr.name.size() - 1 - i) + bit] = expr.name[i] >> bit & 1;
      }
      return resize(out, width, false);
    }
    case ExprKind::kName: case ExprKind::kMember: case ExprKind::kIndex:
    case ExprKind::kRange: case ExprKind::kRangeUp: case ExprKind::kRangeDown: {
      if (!select_type(expr, frame)) type_of(expr, frame);
      const Target target = resolve_target(expr, frame);
      if (target.type->is_unpacked) fail(expr.span, "an unpacked value in an expression");
      return resize(read(target, frame, expr.span), width, is_signed);
    }
    case ExprKind::kUnary: return evaluate_unary(expr, width, is_signed, frame);
    case ExprKind::kBinary: return evaluate_binary(expr, width, is_signed, frame);
    case ExprKind::kTernary: {
      const Lit c = condition(expr.args[0], frame);
      if (c == kTrue) return evaluate(expr.args[1], width, is_signed, frame);
      if (c == kFalse) return evaluate(expr.args[2], width, is_signed, frame);
      const Word a = evaluate(expr.args[1], width, is_signed, frame);
      return mux(aig_, c, a, evaluate(expr.args[2], width, is_signed, frame));
    }
    case ExprKind::kConcat: {
      Word out;
      for (size_t i = expr.args.size(); i-- > 0;) {
        if (is_empty_replication(expr.args[i], frame)) continue;
        const Word part = evaluate_self(expr.args[i], frame);
        out.insert(out.end(), part.begin(), part.end());
      }
      return resize(out, width, false);
    }
    case ExprKind::kReplicate: {
      const int64_t count = constant(expr.args[0], frame, "a replication count");
      (void)type_of(expr, frame);
      const Word part = evaluate_self(expr.args[1], frame);
      Word out;
      for (int64_t i = 0; i < count; ++i) out.insert(out.end(), part.begin(), part.end());
      return resize(out, width, false);
    }
    case ExprKind::kStream: {
      const Word out = stream(expr, frame);
      if (static_cast<int>(out.size()) != width) unsupported(expr.span, "stream where a value of another width is expected");
      return out;
    }
    case ExprKind::kCall: return evaluate_call(expr, width, is_signed, frame);
    case ExprKind::kCast: {
      const ExprType own = type_of(expr, frame);
      if (own.type && expr.name.empty() && expr.args[0].kind == ExprKind::kPattern) return resize(pattern_word(expr.args[0], own.type, frame), width, is_signed);
      const ExprType inner = type_of(expr.args[0], frame);
      const Word word = evaluate(expr.args[0], inner.is_fill ? own.width : inner.width, inner.is_signed, frame);
      return resize(resize(word, own.width, inner.is_signed), width, is_signed);
    }
    case ExprKind::kInside: {
      Lit out = kFalse;
      for (size_t i = 1; i < expr.args.size(); ++i) out = aig_.lor(out, inside(expr.args[0], expr.args[i], frame));
      return resize({out}, width, false);
    }
    default: (void)type_of(expr, frame); fail(expr.span, "not an expression");
  }
}

// {<< n {a, b}}: slices of n bits, counted from the right end, in opposite order (IEEE 1800-2017, 11.4.14.2).
Word Elaborator::stream(const Expr& expr, Frame& frame) {
  const Word word = evaluate_self(expr.args[1], frame);
  const Expr& size = expr.args[0];
  const int64_t slice = size.kind == ExprKind::kEmpty  ? 1
                        : size.kind == ExprKind::kType ? resolve_type(*size.type, frame.scope)->width
                                                       : constant(size, frame, "the size of a slice");
  if (slice < 1) fail(size.span, "a slice of at least one bit expected");
  if (expr.op == Op::kShr) return word;
  Word out;
  const int64_t width = static_cast<int64_t>(word.size());
  for (int64_t low = (width - 1) / slice * slice; low >= 0; low -= slice) {
    out.insert(out.end(), word.begin() + low, word.begin() + std::min(width, low + slice));
  }
  return out;
}

Word Elaborator::evaluate_unary(const Expr& expr, int width, bool is_signed, Frame& frame) {
  switch (expr.op) {
    case Op::kPlus: return evaluate(expr.args[0], width, is_signed, frame);
    case Op::kMinus: return negate_word(aig_, evaluate(expr.args[0], width, is_signed, frame));
    case Op::kBitNot: return invert(evaluate(expr.args[0], width, is_signed, frame));
    default: break;
  }
  const Word a = evaluate_self(expr.args[0], frame);
  Lit out = kFalse;
  switch (expr.op) {
    case Op::kNot: out = negate(any(aig_, a)); break;
    case Op::kAnd: out = all(aig_, a); break;
    case Op::kNand: out = negate(all(aig_, a)); break;
    case Op::kOr: out = any(aig_, a); break;
    case Op::kNor: out = negate(any(aig_, a)); break;
    case Op::kXor: out = parity(aig_, a); break;
    default: out = negate(parity(aig_, a)); break;
  }
  return resize({out}, width, false);
}

Word Elaborator::evaluate_binary(const Expr& expr, int width, bool is_signed, Frame& frame) {
  const auto one = [&](Lit lit) { return resize({lit}, width, false); };
  if (is_comparison(expr.op)) return one(compare(expr, frame));
  const Expr& left = expr.args[0];
  const Expr& right = expr.args[1];
  switch (expr.op) {
    case Op::kLogicAnd: {
      const Lit a = condition(left, frame);
      return one(a == kFalse ? kFalse : aig_.land(a, condition(right, frame)));
    }
    case Op::kLogicOr: {
      const Lit a = condition(left, frame);
      return one(a == kTrue ? kTrue : aig_.lor(a, condition(right, frame)));
    }
    case Op::kImplies: return one(aig_.limplies(condition(left, frame), condition(right, frame)));
    case Op::kEquiv: return one(aig_.lequiv(condition(left, frame), condition(right, frame)));
    default: break;
  }
  const Word a = evaluate(left, width, is_signed, frame);
  if (is_shift(expr.op)) {
    const Word amount = evaluate_self(right, frame);
    if (expr.op == Op::kShl || expr.op == Op::kAshl) return shift_left(aig_, a, amount);
    return shift_right(aig_, a, amount, expr.op == Op::kAshr && is_signed ? a.back() : kFalse);
  }
  if (expr.op == Op::kPower) {
    const ExprType type = type_of(right, frame);
    const auto exponent = constant_value(evaluate_self(right, frame), type.is_signed);
    const auto base = constant_value(a, is_signed);
    if (exponent && *exponent >= 0 && *exponent <= 1024) {
      Word out = constant_word(1, width);
      for (int64_t i = 0; i < *exponent; ++i) out = multiply(aig_, out, a);
      return out;
    }
    if (base && *base == 2 && !type.is_signed) return shift_left(aig_, constant_word(1, width), evaluate_self(right, frame));
    unsupported(expr.span, "** with this exponent");
  }
  const Word b = evaluate(right, width, is_signed, frame);
  Word out(a.size());
  switch (expr.op) {
    case Op::kAdd: return add(aig_, a, b);
    case Op::kSub: return subtract(aig_, a, b);
    case Op::kMul:
      if (width > 256 && !is_constant(a) && !is_constant(b)) unsupported(expr.span, "multiplication wider than 256 bits");
      return is_constant(a) ? multiply(aig_, b, a) : multiply(aig_, a, b);
    case Op::kDiv: case Op::kMod: {
      if (width > 256 && !(is_constant(a) && is_constant(b))) unsupported(expr.span, "division wider than 256 bits");
      const Lit sa = is_signed ? a.back() : kFalse, sb = is_signed ? b.back() : kFalse;
      Word q, r;
      divide(aig_, mux(aig_, sa, negate_word(aig_, a), a), mux(aig_, sb, negate_word(aig_, b), b), q, r);
      q = mux(aig_, aig_.lxor(sa, sb), negate_word(aig_, q), q);
      r = mux(aig_, sa, negate_word(aig_, r), r);
      out = expr.op == Op::kDiv ? q : r;
      const Lit zero = negate(any(aig_, b));
      if (zero != kFalse) {
        for (Lit& bit : out) bit = aig_.lmux(zero, design_.unknown_bit(expr.span), bit);
      }
      return out;
    }
    case Op::kBitAnd: for (size_t i = 0; i < out.size(); ++i) out[i] = aig_.land(a[i], b[i]); return out;
    case Op::kBitOr: for (size_t i = 0; i < out.size(); ++i) out[i] = aig_.lor(a[i], b[i]); return out;
    case Op::kBitXor: for (size_t i = 0; i < out.size(); ++i) out[i] = aig_.lxor(a[i], b[i]); return out;
    case Op::kBitXnor: for (size_t i = 0; i < out.size(); ++i) out[i] = aig_.lequiv(a[i], b[i]); return out;
    default: fail(expr.span, "unknown operator");
  }
}

Lit Elaborator::compare(const Expr& expr, Frame& frame) {
  const Expr& left = expr.args[0];
  const Expr& right = expr.args[1];
  const ExprType a = type_of(left, frame), b = type_of(right, frame);
  if (a.type && b.type && a.type->is_unpacked && b.type->is_unpacked && a.width == b.width && (expr.op == Op::kEq || expr.op == Op::kNe)) {
    return invert_if(equal(aig_, evaluate_as(left, a.type, frame), evaluate_as(right, a.type, frame)), expr.op == Op::kNe);
  }
  const int width = std::max(a.width, b.width);
  const bool is_signed = a.is_signed && b.is_signed;
  const bool wild = expr.op == Op::kWildEq || expr.op == Op::kWildNe;
  const bool exact = expr.op == Op::kCaseEq || expr.op == Op::kCaseNe;
  const bool negative = expr.op == Op::kNe || expr.op == Op::kCaseNe || expr.op == Op::kWildNe;
  if (wild) return invert_if(wild_equal(evaluate(left, width, is_signed, frame), right, width, is_signed, false, frame), negative);
  if (exact && (has_unknown(left) || has_unknown(right))) return negative ? kTrue : kFalse;
  if (frame.in_assertion && (has_unknown(left) || has_unknown(right))) {
    unsupported(has_unknown(left) ? left.span : right.span,
                fmt::format("literal with x or z bits in '{}': it is never true", spelling(expr.op)));
  }
  const Word x = evaluate(left, width, is_signed, frame), y = evaluate(right, width, is_signed, frame);
  switch (expr.op) {
    case Op::kLt: return less(aig_, x, y, is_signed);
    case Op::kGe: return negate(less(aig_, x, y, is_signed));
    case Op::kGt: return less(aig_, y, x, is_signed);
    case Op::kLe: return negate(less(aig_, y, x, is_signed));
    default: return invert_if(equal(aig_, x, y), negative);
  }
}

// value ==? pattern: bits of the pattern that are x or z (only z when `z_only`) match anything; an x that is no
// wildcard never matches.
Lit Elaborator::wild_equal(const Word& value, const Expr& pattern, int width, bool is_signed, bool z_only, Frame& frame) {
  if (pattern.kind != ExprKind::kNumber || !pattern.number->has_unknown()) {
    if (has_unknown(pattern)) unsupported(pattern.span, "x or z bits inside a concatenation as a pattern");
    return equal(aig_, value, evaluate(pattern, width, is_signed, frame));
  }
  const ast::Number& number = *pattern.number;
  Word same;
  for (int i = 0; i < width; ++i) {
    const int at = number.fill ? 0 : i;
    if (number.unknown_bit(at)) {
      if (z_only && !number.bit(at)) return kFalse;
      continue;
    }
    same.push_back(invert_if(value[i], !number.bit(at)));
  }
  return all(aig_, same);
}

Lit Elaborator::inside(const Expr& value, const Expr& item, Frame& frame) {
  const ExprType a = type_of(value, frame);
  const auto bounded = [&](const Expr& bound, bool low) {
    if (bound.kind == ExprKind::kDollar) return kTrue;
    const ExprType b = type_of(bound, frame);
    const int width = std::max(a.width, b.width);
    const bool is_signed = a.is_signed && b.is_signed;
    const Word x = evaluate(value, width, is_signed, frame), y = evaluate(bound, width, is_signed, frame);
    return negate(low ? less(aig_, x, y, is_signed) : less(aig_, y, x, is_signed));
  };
  if (item.kind == ExprKind::kValueRange) return aig_.land(bounded(item.args[0], true), bounded(item.args[1], false));
  const ExprType b = type_of(item, frame);
  if (b.type && b.type->is_unpacked) unsupported(item.span, "unpacked array inside a set");
  const int width = std::max(a.width, b.width);
  const bool is_signed = a.is_signed && b.is_signed;
  return wild_equal(evaluate(value, width, is_signed, frame), item, width, is_signed, false, frame);
}

}  // namespace callie::assertions
