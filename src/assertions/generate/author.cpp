#include "assertions/generate/author.h"

#include <algorithm>
#include <set>

#include "assertions/generate/expressions.h"

namespace callie::assertions {

using ast::Expr;
using ast::Op;

namespace {

uint64_t mask_of(int width) { return width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1; }

}  // namespace

Expr part(Expr base, int high, int low) {
  Expr out;
  out.kind = high == low ? ast::ExprKind::kIndex : ast::ExprKind::kRange;
  out.args.push_back(std::move(base));
  out.args.push_back(integer(high));
  if (high != low) out.args.push_back(integer(low));
  return out;
}

int Author::width() {
  static constexpr int kWidths[] = {2, 3, 4, 4, 5, 6, 8, 8, 8, 12, 16, 16, 32};
  return dice.pick(kWidths);
}

std::string Author::input(Names::Role role, int width) {
  std::vector<std::string> fit;
  for (const Snippet::Signal& s : snippet.signals) {
    if (s.direction == ast::Direction::kInput && s.width == width && roles[s.name] == role) fit.push_back(s.name);
  }
  if (!fit.empty() && (dice.chance(55) || inputs >= 12)) return dice.pick(fit);
  Snippet::Signal s;
  s.name = names.take(role);
  s.width = width;
  s.direction = ast::Direction::kInput;
  snippet.signals.push_back(s);
  roles[s.name] = role;
  ++inputs;
  if (width == 1) snippet.edge_controls.push_back(s.name);
  return s.name;
}

std::string Author::target(Names::Role role, int width, ast::Direction direction) {
  Snippet::Signal s;
  s.name = names.take(role, true);
  s.width = width;
  s.direction = direction;
  snippet.signals.push_back(s);
  return s.name;
}

Expr Author::constant(int width) {
  const uint64_t value = dice.chance(15) ? 0 : dice.chance(15) ? mask_of(width) : dice.bits() & mask_of(width);
  return ast::make_number_expr(width, value, width == 1 ? 'b' : width <= 4 ? (dice.chance(50) ? 'd' : 'b') : dice.chance(60) ? 'h' : 'd');
}

Expr Author::atom_condition() {
  const int kind = dice.below(100);
  if (kind < 38) return ast::make_name(input(Names::Role::kControl, 1));
  if (kind < 50) return ast::make_unary(Op::kNot, ast::make_name(input(Names::Role::kControl, 1)));
  const int w = dice.chance(70) ? vector_width() : width();
  const std::string v = readable.empty() || dice.chance(70) ? input(Names::Role::kData, w) : dice.pick(readable);
  const int vw = snippet.widths().at(v);
  if (vw == 1) return ast::make_name(v);
  switch (dice.below(7)) {
    case 0: return ast::make_binary(dice.chance(60) ? Op::kEq : Op::kNe, ast::make_name(v), constant(vw));
    case 1: return ast::make_binary(dice.chance(50) ? Op::kLt : Op::kGe, ast::make_name(v), nonzero(vw));
    case 2: {
      static constexpr Op kReductions[] = {Op::kOr, Op::kAnd, Op::kXor};
      return ast::make_unary(dice.pick(kReductions), ast::make_name(v));
    }
    case 3: {
      const int bit = dice.below(vw);
      return part(ast::make_name(v), bit, bit);
    }
    case 4: {
      const int low = dice.below(vw - 1), high = std::min(vw - 1, low + dice.between(1, 3));
      return ast::make_binary(dice.chance(60) ? Op::kEq : Op::kNe, part(ast::make_name(v), high, low), constant(high - low + 1));
    }
    case 5: return ast::make_binary(dice.chance(50) ? Op::kEq : Op::kNe, ast::make_name(v), ast::make_name(other(v, vw)));
    default: return ast::make_binary(dice.chance(50) ? Op::kLt : Op::kGt, ast::make_name(v), ast::make_name(other(v, vw)));
  }
}

Expr Author::condition() {
  Expr out = atom_condition();
  for (int n = dice.chance(35) ? dice.between(1, 2) : 0; n > 0; --n) {
    Expr next = atom_condition();
    // A second look at the same signals tends to contradict the first.
    std::set<std::string> before, after;
    collect_names(out, before);
    collect_names(next, after);
    if (std::any_of(after.begin(), after.end(), [&](const std::string& name) { return before.contains(name); })) continue;
    out = ast::make_binary(dice.chance(65) ? Op::kLogicAnd : Op::kLogicOr, std::move(out), std::move(next));
  }
  return out;
}

Expr Author::value(int width) {
  if (width == 1) {
    switch (dice.below(5)) {
      case 0: return constant(1);
      case 1: return ast::make_unary(Op::kNot, ast::make_name(input(Names::Role::kControl, 1)));
      case 2: return atom_condition();
      default: return ast::make_name(input(Names::Role::kControl, 1));
    }
  }
  const std::string a = source(width);
  switch (dice.below(11)) {
    case 0: return constant(width);
    case 1: return ast::make_unary(Op::kBitNot, ast::make_name(a));
    case 2: case 3: {
      static constexpr Op kOps[] = {Op::kAdd, Op::kSub, Op::kBitAnd, Op::kBitOr, Op::kBitXor};
      return ast::make_binary(dice.pick(kOps), ast::make_name(a), ast::make_name(other(a, width)));
    }
    case 4: return ast::make_binary(dice.chance(60) ? Op::kAdd : Op::kSub, ast::make_name(a), nonzero(width));
    case 5: {
      Expr out;
      out.kind = ast::ExprKind::kConcat;
      const int cut = dice.between(1, width - 1);
      out.args.push_back(part(ast::make_name(a), cut - 1, 0));
      out.args.push_back(part(ast::make_name(source(width)), width - 1, cut));
      return out;
    }
    case 6: {
      // A wider source, cut.
      const int wide = width + dice.between(1, 8);
      const int low = dice.below(wide - width + 1);
      return part(ast::make_name(input(Names::Role::kData, wide)), low + width - 1, low);
    }
    default: return ast::make_name(a);
  }
}

std::string Author::source(int width) {
  std::vector<std::string> fit;
  for (const std::string& name : readable) {
    if (snippet.widths().at(name) == width) fit.push_back(name);
  }
  if (!fit.empty() && dice.chance(25)) return dice.pick(fit);
  return input(width == 1 ? Names::Role::kControl : Names::Role::kData, width);
}

Expr Author::nonzero(int width) {
  return ast::make_number_expr(width, 1 + dice.bits() % mask_of(width), width <= 4 ? 'd' : 'h');
}

int Author::vector_width() {
  for (const Snippet::Signal& s : snippet.signals) {
    if (s.direction == ast::Direction::kInput && s.width > 1 && dice.chance(50)) return s.width;
  }
  return width();
}

std::string Author::other(const std::string& than, int width) {
  for (int tries = 0; tries < 4; ++tries) {
    const std::string name = source(width);
    if (name != than) return name;
  }
  Snippet::Signal s;
  s.name = names.take(width == 1 ? Names::Role::kControl : Names::Role::kData);
  s.width = width;
  s.direction = ast::Direction::kInput;
  snippet.signals.push_back(s);
  roles[s.name] = width == 1 ? Names::Role::kControl : Names::Role::kData;
  return s.name;
}

}  // namespace callie::assertions
