#include "assertions/elaborate/elaborator.h"

/// Selections: which bits of which variable an expression such as u.mem[i].field[3 +: 2] names.
namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;

namespace {

int bits_for(int64_t value) {
  int bits = 1;
  while (value >> bits) ++bits;
  return bits;
}

}  // namespace

// Packed structs and unions are selected from as vectors (IEEE 1800-2017, 7.2.1).
const Type* Elaborator::as_vector(const Type* type) {
  return type && !type->is_unpacked && !type->fields.empty() ? bits_type(type->width, false) : type;
}

// The type that a selection has, without evaluating its indices; nothing when the expression is no selection.
const Type* Elaborator::select_type(const Expr& expr, Frame& frame) {
  switch (expr.kind) {
    case ExprKind::kName:
    case ExprKind::kMember:
    case ExprKind::kIndex: {
      Symbol* symbol = resolve(expr, frame);
      if (symbol) {
        if (symbol->kind == Symbol::Kind::kVariable || symbol->kind == Symbol::Kind::kParameter) return symbol->type;
        return nullptr;
      }
      if (expr.kind == ExprKind::kName) return nullptr;
      const Type* base = select_type(expr.args[0], frame);
      if (!base) return nullptr;
      if (expr.kind == ExprKind::kMember) {
        const auto field = field_of(base, expr.name);
        if (!field) fail(expr.span, fmt::format("no member '{}'", expr.name));
        return field->second;
      }
      base = as_vector(base);
      if (!base->is_array()) fail(expr.span, "an index on what is no array");
      return base->element;
    }
    case ExprKind::kRange:
    case ExprKind::kRangeUp:
    case ExprKind::kRangeDown: {
      const Type* base = as_vector(select_type(expr.args[0], frame));
      if (!base) return nullptr;
      if (base->kind != Type::Kind::kPacked) {
        if (base->kind == Type::Kind::kUnpacked) unsupported(expr.span, "slice of an unpacked array");
        fail(expr.span, "a part select on what is no vector");
      }
      int64_t count = constant(expr.args[2], frame, expr.kind == ExprKind::kRange ? "a part select" : "a width");
      if (expr.kind == ExprKind::kRange) {
        const int64_t left = constant(expr.args[1], frame, "a part select");
        if (base->left >= base->right ? left < count : left > count) {
          fail(expr.span, "the part select runs against the declared range");
        }
        count = (left > count ? left - count : count - left) + 1;
      }
      if (count < 1 || count > 65536) fail(expr.span, "a part select of 1 to 65536 elements expected");
      if (base->element->width == 1) return bits_type(static_cast<int>(count), false);
      design_.types.push_back({});
      Type& out = design_.types.back();
      out.kind = Type::Kind::kPacked;
      out.left = static_cast<int>(count) - 1;
      out.element = base->element;
      out.width = static_cast<int>(count) * base->element->width;
      return &out;
    }
    case ExprKind::kCall:
    case ExprKind::kCast: return type_of(expr, frame).type;
    default: return nullptr;
  }
}

Elaborator::Target Elaborator::resolve_target(const Expr& expr, Frame& frame) {
  charge(expr.span);
  Target out;
  if (expr.kind == ExprKind::kName || expr.kind == ExprKind::kMember || expr.kind == ExprKind::kIndex) {
    if (Symbol* symbol = resolve(expr, frame)) {
      if (symbol->kind == Symbol::Kind::kVariable) {
        out.variable = symbol->variable;
      } else if (symbol->kind == Symbol::Kind::kParameter) {
        out.value = std::make_shared<Word>(symbol->value);
      } else {
        fail(expr.span, fmt::format("'{}' is not a value", expr.name));
      }
      out.type = symbol->type;
      out.width = out.type->width;
      return out;
    }
    if (expr.kind == ExprKind::kName) fail(expr.span, fmt::format("unknown name '{}'", expr.name));
  }
  switch (expr.kind) {
    case ExprKind::kMember: {
      out = resolve_target(expr.args[0], frame);
      const auto field = field_of(out.type, expr.name);
      if (!field) fail(expr.span, fmt::format("no member '{}'", expr.name));
      narrow(out, field->first, field->second->width, field->second);
      return out;
    }
    case ExprKind::kIndex:
      out = resolve_target(expr.args[0], frame);
      select_index(out, expr.args[1], frame);
      return out;
    case ExprKind::kRange:
    case ExprKind::kRangeUp:
    case ExprKind::kRangeDown:
      out = resolve_target(expr.args[0], frame);
      select_range(out, expr, frame);
      return out;
    case ExprKind::kCall:
    case ExprKind::kCast: {
      const ExprType type = type_of(expr, frame);
      if (!type.type) fail(expr.span, "a selection of what has no parts");
      out.value = std::make_shared<Word>(evaluate(expr, type.width, type.is_signed, frame));
      out.type = type.type;
      out.width = type.width;
      return out;
    }
    default: fail(expr.span, "a variable expected");
  }
}

// Moves to `width` bits at `offset` (which may lie partly or wholly outside) of what is selected so far.
void Elaborator::narrow(Target& target, int offset, int width, const Type* type) {
  const int old_width = target.width;
  target.type = type;
  target.width = width;
  if (!target.is_dynamic && offset >= 0 && offset + width <= old_width) {
    target.offset += offset;
    return;
  }
  if (!target.is_dynamic) {
    target.is_dynamic = true;
    target.may_miss = true;
    target.places = {{kTrue, target.offset, 0, old_width}};
  }
  if (offset < 0 || offset + width > old_width) target.may_miss = true;
  for (Target::Place& place : target.places) {
    // place covers [place.skip, place.skip + place.count) of the old selection.
    const int first = std::max({offset, place.skip, 0});
    const int last = std::min({offset + width, place.skip + place.count, old_width});
    place.offset += first - place.skip;
    place.skip = first - offset;
    place.count = std::max(0, last - first);
  }
}

// Each value p of `position` in [first, last] selects `width` bits at p * stride.
void Elaborator::narrow_dynamic(Target& target, const Word& position, int first, int last, int stride, int width,
                                const Type* type, bool may_miss) {
  const Target base = target;
  target = base;
  target.is_dynamic = true;
  target.may_miss = base.may_miss || may_miss;
  target.type = type;
  target.width = width;
  target.places.clear();
  const int bits = static_cast<int>(position.size());
  for (int p = first; p <= last; ++p) {
    const Lit here = equal(aig_, position, resize(constant_word(static_cast<uint64_t>(static_cast<int64_t>(p)), 64),
                                                  bits, false));
    if (here == kFalse) continue;
    Target one = base;
    narrow(one, p * stride, width, type);
    if (one.is_dynamic) {
      for (Target::Place place : one.places) {
        place.condition = aig_.land(place.condition, here);
        if (place.count > 0 && place.condition != kFalse) target.places.push_back(place);
      }
      target.may_miss |= one.may_miss;
    } else {
      target.places.push_back({here, one.offset, 0, width});
    }
    if (target.places.size() > 262144) {
      throw SourceError{{}, "an index with too many targets", StatusCode::kResourceExhausted};
    }
  }
}

// index - low_index (or low_index - index when the range ascends) as a signed word; `exact` when it can't be negative.
Word Elaborator::relative_index(const Expr& index, int low_index, bool descending, Frame& frame, bool* exact) {
  const ExprType type = type_of(index, frame);
  Word word = evaluate(index, type.width, type.is_signed, frame);
  const int bits = std::max(type.width, bits_for(std::abs(static_cast<int64_t>(low_index)))) + 2;
  word = resize(word, bits, type.is_signed);
  const Word low = constant_word(static_cast<uint64_t>(static_cast<int64_t>(low_index)), bits);
  *exact = !type.is_signed && low_index == 0 && descending;
  if (low_index == 0 && descending) return word;
  return descending ? subtract(aig_, word, low) : subtract(aig_, low, word);
}

void Elaborator::select_index(Target& target, const Expr& index, Frame& frame) {
  const Type* type = as_vector(target.type);
  if (!type || !type->is_array()) fail(index.span, "an index on what is no array");
  const Type* element = type->element;
  const bool unpacked = type->kind == Type::Kind::kUnpacked;
  const bool descending = unpacked || type->left >= type->right;
  const int low_index = unpacked ? type->low() : type->right;
  bool exact = false;
  const Word position = relative_index(index, low_index, descending, frame, &exact);
  if (const auto value = constant_value(position, true)) {
    if (*value < 0 || *value >= type->count()) {
      narrow(target, target.width, element->width, element);
    } else {
      narrow(target, static_cast<int>(*value) * element->width, element->width, element);
    }
    return;
  }
  const int index_bits = static_cast<int>(position.size()) - 2;
  const bool covers = exact && index_bits < 31 && (int64_t{1} << index_bits) <= type->count();
  narrow_dynamic(target, position, 0, type->count() - 1, element->width, element->width, element, !covers);
}

void Elaborator::select_range(Target& target, const Expr& expr, Frame& frame) {
  const Type* type = as_vector(target.type);
  const Type* result = select_type(expr, frame);
  if (!type || type->kind != Type::Kind::kPacked || !result) fail(expr.span, "a part select on what is no vector");
  const int element = type->element->width;
  const int count = result->width / element;
  const bool descending = type->left >= type->right;
  bool exact = false;
  if (expr.kind == ExprKind::kRange) {
    const int64_t last = constant(expr.args[2], frame, "a part select");
    const int64_t position = descending ? last - type->right : type->right - last;
    if (position > 65536 || position < -65536) narrow(target, target.width, result->width, result);
    else narrow(target, static_cast<int>(position) * element, result->width, result);
    return;
  }
  // The lowest position is the index itself or lies count - 1 below it, by the direction of the range.
  const Word index = relative_index(expr.args[1], type->right, descending, frame, &exact);
  const bool up = expr.kind == ExprKind::kRangeUp;
  const bool index_is_lowest = up == descending;
  Word position = index;
  if (!index_is_lowest && count > 1) {
    const int bits = std::max(static_cast<int>(index.size()), bits_for(count) + 2);
    position = subtract(aig_, resize(index, bits, true), constant_word(static_cast<uint64_t>(count - 1), bits));
  }
  if (const auto value = constant_value(position, true)) {
    if (*value > 65536 || *value < -65536) narrow(target, target.width, result->width, result);
    else narrow(target, static_cast<int>(*value) * element, result->width, result);
    return;
  }
  const int index_bits = static_cast<int>(position.size()) - 2;
  const bool covers =
      exact && index_is_lowest && index_bits < 31 && (int64_t{1} << index_bits) + count - 1 <= type->count();
  narrow_dynamic(target, position, -(count - 1), type->count() - 1, element, result->width, result, !covers);
}

const Word& Elaborator::read_variable(int variable, Frame& frame) {
  for (Env* env = frame.env; env; env = env->parent) {
    const auto it = env->blocking.find(variable);
    if (it != env->blocking.end()) return it->second.bits;
  }
  return design_.variable_leaves(variable);
}

Word Elaborator::read(const Target& target, Frame& frame, Span span) {
  const Word& all_bits = target.value ? *target.value : read_variable(target.variable, frame);
  Word out(static_cast<size_t>(target.width), kFalse);
  if (!target.is_dynamic) {
    std::copy_n(all_bits.begin() + target.offset, target.width, out.begin());
    return out;
  }
  Word hit(static_cast<size_t>(target.width), kFalse);
  for (const Target::Place& place : target.places) {
    for (int i = 0; i < place.count; ++i) {
      Lit& bit = out[place.skip + i];
      bit = aig_.lor(bit, aig_.land(place.condition, all_bits[place.offset + i]));
      if (target.may_miss) hit[place.skip + i] = aig_.lor(hit[place.skip + i], place.condition);
    }
  }
  if (target.may_miss) {
    for (int i = 0; i < target.width; ++i) {
      if (hit[i] != kTrue) out[i] = aig_.lor(out[i], aig_.land(negate(hit[i]), design_.unknown_bit(span)));
    }
  }
  return out;
}

}  // namespace callie::assertions
