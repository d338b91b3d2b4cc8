#include "assertions/lower/property.h"

#include <algorithm>

#include <fmt/format.h>

#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Prop;
using ast::PropKind;

namespace {

using Arguments = std::map<std::string, std::pair<Prop, const ast::Formal*>>;

ast::Expr replace(const ast::Expr& expr, const Arguments& args, Span use) {
  if (expr.kind == ast::ExprKind::kName) {
    const auto it = args.find(expr.name);
    if (it != args.end()) {
      if (it->second.first.kind != PropKind::kBoolean) {
        throw SourceError{use, "sequence or property as an operand of an expression", StatusCode::kUnimplemented};
      }
      ast::Expr value = *it->second.first.expr;
      if (!it->second.second->untyped) {
        ast::Expr cast;
        cast.kind = ast::ExprKind::kCast;
        cast.type = it->second.second->type;
        cast.span = value.span;
        cast.args.push_back(std::move(value));
        return cast;
      }
      return value;
    }
  }
  ast::Expr out = expr;
  for (ast::Expr& arg : out.args) arg = replace(arg, args, use);
  return out;
}

Prop replace(const Prop& p, const Arguments& args, Span use) {
  if (p.kind == PropKind::kBoolean && p.expr->kind == ast::ExprKind::kName) {
    const auto it = args.find(p.expr->name);
    if (it != args.end() && it->second.first.kind != PropKind::kBoolean) return it->second.first;
  }
  Prop out = p;
  if (out.expr) out.expr = replace(*out.expr, args, use);
  if (out.low) out.low = replace(*out.low, args, use);
  if (out.high) out.high = replace(*out.high, args, use);
  if (out.event) {
    for (ast::EventTerm& term : out.event->terms) term.expr = replace(term.expr, args, use);
  }
  for (Prop& arg : out.args) arg = replace(arg, args, use);
  for (auto& labels : out.labels) {
    for (ast::Expr& label : labels) label = replace(label, args, use);
  }
  if (p.kind != PropKind::kInstance) {
    for (ast::Expr& item : out.items) item = replace(item, args, use);
  }
  return out;
}

}  // namespace

// As it is written: "##[1:$]", "s_eventually".
void PropertyLowering::unsupported(const Prop& p) {
  std::string text(spelling(p.kind));
  if (p.low && (p.kind == PropKind::kDelay || p.kind == PropKind::kRepeat || p.kind == PropKind::kGoto || p.kind == PropKind::kNonConsec)) {
    const std::string low = print(*p.low);
    if (p.kind == PropKind::kDelay) text += p.high ? fmt::format("[{}:{}]", low, print(*p.high)) : low;
    else text += p.high ? fmt::format("{}:{}]", low, print(*p.high)) : fmt::format("{}]", low);
  }
  throw SourceError{p.op_span.end ? p.op_span : p.span, text, StatusCode::kUnimplemented};
}

Prop PropertyLowering::instance(const Symbol& symbol, const std::string& name, std::vector<Prop> args,
                                const std::vector<ast::Expr>& keys, Span span, int depth) {
  const ast::Item& item = *symbol.item;
  if (depth > 40) throw SourceError{span, fmt::format("recursive property '{}'", name), StatusCode::kUnimplemented};
  if (!item.items.empty()) throw SourceError{item.items[0].span, "local variable", StatusCode::kUnimplemented};
  Arguments map;
  const size_t positional = args.size() - keys.size();
  for (size_t i = 0; i < args.size(); ++i) {
    size_t at = i;
    if (i >= positional) {
      at = 0;
      while (at < item.formals.size() && item.formals[at].name.name != keys[i - positional].name) ++at;
    }
    if (at >= item.formals.size()) throw SourceError{span, fmt::format("'{}' takes {} arguments", name, item.formals.size())};
    map[item.formals[at].name.name] = {std::move(args[i]), &item.formals[at]};
  }
  for (const ast::Formal& formal : item.formals) {
    if (map.contains(formal.name.name)) continue;
    if (!formal.name.init) throw SourceError{span, fmt::format("'{}' lacks its argument '{}'", name, formal.name.name)};
    Prop value;
    value.expr = *formal.name.init;
    value.span = span;
    map[formal.name.name] = {std::move(value), &formal};
  }
  return expand(replace(*item.property, map, span), depth + 1);
}

// The property with named sequences and properties put in.
Prop PropertyLowering::expand(const Prop& p, int depth) {
  if (depth > 400) unsupported(p);
  if (p.kind == PropKind::kInstance) {
    const Symbol* symbol = e_.resolve(ast::make_name(p.name), frame_);
    if (!symbol) throw SourceError{p.span, fmt::format("unknown property or sequence '{}'", p.name)};
    if (symbol->kind != Symbol::Kind::kProperty && symbol->kind != Symbol::Kind::kSequence) {
      throw SourceError{p.span, fmt::format("'{}' is no property or sequence", p.name)};
    }
    return instance(*symbol, p.name, p.args, p.items, p.span, depth);
  }
  if (p.kind == PropKind::kBoolean) {
    const ast::Expr& expr = *p.expr;
    const bool call = expr.kind == ast::ExprKind::kCall && !expr.name.empty() && expr.name[0] != '$' && expr.name[0] != '.';
    if (expr.kind == ast::ExprKind::kName || call) {
      const Symbol* symbol = e_.resolve(ast::make_name(expr.name), frame_);
      if (symbol && (symbol->kind == Symbol::Kind::kProperty || symbol->kind == Symbol::Kind::kSequence)) {
        std::vector<Prop> args;
        std::vector<ast::Expr> keys;
        for (const ast::Expr& arg : expr.args) {
          Prop one;
          one.expr = arg;
          one.span = arg.span;
          args.push_back(std::move(one));
        }
        for (const std::string& key : expr.keys) keys.push_back(ast::make_name(key));
        return instance(*symbol, expr.name, std::move(args), keys, p.span, depth);
      }
    }
    return p;
  }
  Prop out = p;
  for (Prop& arg : out.args) arg = expand(arg, depth + 1);
  return out;
}

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

PropertyLowering::Range PropertyLowering::range(const Prop& p) {
  Frame frame = frame_;
  Range out;
  out.low = static_cast<int>(std::clamp<int64_t>(e_.constant(*p.low, frame, "a count"), -1, kUnbounded));
  if (out.low < 0) throw SourceError{p.low->span, "a negative count"};
  out.high = out.low;
  if (p.high) {
    out.high = p.high->kind == ast::ExprKind::kDollar
                   ? kUnbounded
                   : static_cast<int>(std::clamp<int64_t>(e_.constant(*p.high, frame, "a count"), -1, kUnbounded));
  }
  if (out.high < out.low) throw SourceError{p.high->span, "a range that ends before it begins"};
  if (out.high != kUnbounded && out.high > kMaxWindow) unsupported(p);
  return out;
}

// The last offset that a sequence or property can look at, from its start.
int PropertyLowering::length(const Prop& p) {
  const auto cap = [](int64_t n) { return n >= kUnbounded ? kUnbounded : static_cast<int>(n); };
  const auto longest = [&] {
    int out = 0;
    for (const Prop& arg : p.args) out = std::max(out, length(arg));
    return out;
  };
  switch (p.kind) {
    case PropKind::kBoolean: return 0;
    case PropKind::kDelay: {
      const Range r = range(p);
      const int64_t last = length(p.args.back());
      return cap((p.args.size() == 2 ? length(p.args[0]) : 0) + int64_t{r.high} + last);
    }
    case PropKind::kRepeat: {
      const Range r = range(p);
      if (r.high == kUnbounded) return kUnbounded;
      return cap(int64_t{std::max(r.high, 1)} * (length(p.args[0]) + 1) - 1);
    }
    case PropKind::kGoto: case PropKind::kNonConsec: return kUnbounded;
    case PropKind::kThroughout: return length(p.args[1]);
    case PropKind::kWithin: return length(p.args[1]);
    case PropKind::kIntersect: return std::min(length(p.args[0]), length(p.args[1]));
    case PropKind::kOverlap: case PropKind::kFollowedBy: return cap(int64_t{length(p.args[0])} + length(p.args[1]));
    case PropKind::kNonOverlap: case PropKind::kFollowedByNext: return cap(int64_t{length(p.args[0])} + 1 + length(p.args[1]));
    case PropKind::kNextTime: case PropKind::kSNextTime: return cap(int64_t{p.low ? range(p).low : 1} + length(p.args[0]));
    case PropKind::kAlways: case PropKind::kSAlways: case PropKind::kEventually: case PropKind::kSEventually:
      return p.low ? cap(int64_t{range(p).high} + length(p.args[0])) : kUnbounded;
    case PropKind::kUntil: case PropKind::kUntilWith: case PropKind::kSUntil: case PropKind::kSUntilWith: return kUnbounded;
    default: return longest();
  }
}

void PropertyLowering::check_supported(const Prop& p) {
  switch (p.kind) {
    case PropKind::kSUntil: case PropKind::kSUntilWith: case PropKind::kAcceptOn: case PropKind::kRejectOn:
    case PropKind::kSyncAcceptOn: case PropKind::kSyncRejectOn: case PropKind::kAssigned: case PropKind::kDisable:
      unsupported(p);
    case PropKind::kSEventually: case PropKind::kEventually: case PropKind::kSAlways:
      if (!p.low || range(p).high == kUnbounded) unsupported(p);
      break;
    case PropKind::kClocked: {
      const Clock inner = e_.resolve_clock(*p.event, frame_.scope, p.span);
      if (!(inner == clock_)) throw SourceError{p.span, "@ of a second clock", StatusCode::kUnimplemented};
      break;
    }
    case PropKind::kStrong:
      if (length(p.args[0]) >= kUnbounded) unsupported(p);
      break;
    case PropKind::kOverlap: case PropKind::kNonOverlap: case PropKind::kFollowedBy: case PropKind::kFollowedByNext:
      if (!is_sequence(p.args[0])) throw SourceError{p.args[0].span, fmt::format("the left side of {} must be a sequence; parentheses around the implication are missing?", spelling(p.kind)), StatusCode::kUnimplemented};
      break;
    case PropKind::kDelay: case PropKind::kRepeat: case PropKind::kGoto: case PropKind::kNonConsec:
    case PropKind::kThroughout: case PropKind::kWithin: case PropKind::kIntersect: case PropKind::kFirstMatch:
      for (const Prop& arg : p.args) {
        if (!is_sequence(arg)) throw SourceError{arg.span, fmt::format("property as an operand of {}", spelling(p.kind)), StatusCode::kUnimplemented};
      }
      if (p.kind == PropKind::kFirstMatch && !p.items.empty()) unsupported(p);
      break;
    default: break;
  }
  for (const Prop& arg : p.args) check_supported(arg);
}

Lit PropertyLowering::atom(const ast::Expr& expr, int offset, int k, bool fill) {
  if (offset > k) return fill ? kTrue : kFalse;
  auto it = atoms_.find(&expr);
  if (it == atoms_.end()) {
    Frame frame = frame_;
    frame.env = nullptr;
    frame.in_assertion = true;
    it = atoms_.emplace(&expr, e_.condition(expr, frame)).first;
  }
  if (k == offset) return it->second;
  if (!has_clock_) throw SourceError{expr.span, "concurrent assertion without a clock", StatusCode::kUnimplemented};
  return e_.past({it->second}, k - offset, kTrue, clock_)[0];
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

// The property holds for the attempt at offset i, as far as cycles up to k tell; what comes later satisfies every
// boolean when `fill`, else none.
Lit PropertyLowering::holds(const Prop& p, int i, int k, bool fill) {
  Aig& aig = e_.aig_;
  e_.charge(p.span);
  if (p.kind == PropKind::kBoolean) return atom(*p.expr, i, k, fill);
  // Beyond the horizon the letters are all alike: no need to look there.
  switch (p.kind) {
    case PropKind::kClocked: case PropKind::kStrong: case PropKind::kWeak: return holds(p.args[0], i, k, fill);
    case PropKind::kNot: return negate(holds(p.args[0], i, k, !fill));
    case PropKind::kImplies: return aig.lor(negate(holds(p.args[0], i, k, !fill)), holds(p.args[1], i, k, fill));
    case PropKind::kIff:
      return aig.land(aig.lor(negate(holds(p.args[0], i, k, !fill)), holds(p.args[1], i, k, fill)),
                      aig.lor(negate(holds(p.args[1], i, k, !fill)), holds(p.args[0], i, k, fill)));
    case PropKind::kIf: {
      // (c |-> first) and (!c |-> second); behind the horizon both guards are letters of the other polarity.
      const bool later = i > k;
      const Lit open = fill ? kTrue : kFalse;
      const Lit c = later ? kFalse : atom(*p.expr, i, k, true);
      const Lit then_part = aig.lor(later ? open : negate(c), holds(p.args[0], i, k, fill));
      if (p.args.size() == 1) return then_part;
      return aig.land(then_part, aig.lor(later ? open : c, holds(p.args[1], i, k, fill)));
    }
    case PropKind::kCase: unsupported(p);
    case PropKind::kNextTime: case PropKind::kSNextTime: return holds(p.args[0], i + (p.low ? range(p).low : 1), k, fill);
    case PropKind::kAlways: case PropKind::kSAlways: {
      const Range r = range(p);
      Lit out = kTrue;
      for (int d = r.low; d <= r.high; ++d) out = aig.land(out, holds(p.args[0], i + d, k, fill));
      return out;
    }
    case PropKind::kEventually: case PropKind::kSEventually: {
      const Range r = range(p);
      Lit out = kFalse;
      for (int d = r.low; d <= r.high; ++d) out = aig.lor(out, holds(p.args[0], i + d, k, fill));
      return out;
    }
    case PropKind::kOverlap: case PropKind::kNonOverlap: case PropKind::kFollowedBy: case PropKind::kFollowedByNext: {
      const bool next = p.kind == PropKind::kNonOverlap || p.kind == PropKind::kFollowedByNext;
      const bool implication = p.kind == PropKind::kOverlap || p.kind == PropKind::kNonOverlap;
      const int last = i + length(p.args[0]);
      Lit out = implication ? kTrue : kFalse;
      for (int j = i - (next ? 1 : 0); j <= last; ++j) {
        const Lit m = match(p.args[0], i, j, k, implication ? !fill : fill);
        if (m == kFalse) continue;
        const Lit c = holds(p.args[1], j + next, k, fill);
        out = implication ? aig.land(out, aig.lor(negate(m), c)) : aig.lor(out, aig.land(m, c));
      }
      return out;
    }
    case PropKind::kAnd:
      // Of sequences with empty matches it is the sequence operator that counts: the longer side must match, not both.
      if (is_sequence(p) && std::any_of(p.args.begin(), p.args.end(), [&](const Prop& arg) { return match(arg, i, i - 1, k, fill) != kFalse; })) {
        return matched(p, i, k, fill);
      }
      return aig.land(holds(p.args[0], i, k, fill), holds(p.args[1], i, k, fill));
    case PropKind::kOr: return aig.lor(holds(p.args[0], i, k, fill), holds(p.args[1], i, k, fill));
    default: {
      if (!is_sequence(p)) unsupported(p);
      return matched(p, i, k, fill);
    }
  }
}

// A sequence as a property: some match that is not empty.
Lit PropertyLowering::matched(const Prop& s, int i, int k, bool fill) {
  Lit out = kFalse;
  for (int j = i; j <= i + length(s); ++j) out = e_.aig_.lor(out, match(s, i, j, k, fill));
  return out;
}

bool PropertyLowering::has_antecedent(const Prop& p) const {
  if (is_sequence(p)) return false;
  if (p.kind == PropKind::kOverlap || p.kind == PropKind::kNonOverlap || p.kind == PropKind::kImplies ||
      (p.kind == PropKind::kIf && p.args.size() == 1)) {
    return true;
  }
  return std::any_of(p.args.begin(), p.args.end(), [&](const Prop& arg) { return has_antecedent(arg); });
}

// Some antecedent of the property has matched by now.
Lit PropertyLowering::fires(const Prop& p, int i, int k) {
  Aig& aig = e_.aig_;
  if (!has_antecedent(p)) return kTrue;
  switch (p.kind) {
    case PropKind::kOverlap: case PropKind::kNonOverlap: {
      Lit out = kFalse;
      const int next = p.kind == PropKind::kNonOverlap;
      for (int j = i - next; j <= i + length(p.args[0]); ++j) {
        const Lit m = match(p.args[0], i, j, k, false);
        if (m != kFalse) out = aig.lor(out, aig.land(m, fires(p.args[1], j + next, k)));
      }
      return out;
    }
    case PropKind::kImplies: return aig.land(holds(p.args[0], i, k, false), fires(p.args[1], i, k));
    case PropKind::kIf: {
      const Lit c = atom(*p.expr, i, k, false);
      Lit out = aig.land(c, fires(p.args[0], i, k));
      if (p.args.size() > 1) out = aig.lor(out, aig.land(i > k ? kFalse : negate(c), fires(p.args[1], i, k)));
      return out;
    }
    case PropKind::kNextTime: case PropKind::kSNextTime: return fires(p.args[0], i + (p.low ? range(p).low : 1), k);
    case PropKind::kAlways: case PropKind::kSAlways: case PropKind::kEventually: case PropKind::kSEventually: {
      Lit out = kFalse;
      if (!p.low) return fires(p.args[0], i, k);
      for (int d = range(p).low; d <= range(p).high; ++d) out = aig.lor(out, fires(p.args[0], i + d, k));
      return out;
    }
    default: {
      Lit out = kFalse;
      for (const Prop& arg : p.args) {
        if (has_antecedent(arg)) out = aig.lor(out, fires(arg, i, k));
      }
      return out;
    }
  }
}

// A register of the assertion's clock that holds `lit`.
Lit PropertyLowering::delay(Lit lit, uint8_t init) {
  if (!has_clock_) throw SourceError{place_, "concurrent assertion without a clock", StatusCode::kUnimplemented};
  const int index = e_.design_.new_state();
  State& state = e_.design_.states[index];
  state.next = lit;
  state.init = init;
  state.has_clock = true;
  state.clock = clock_;
  return state.leaf;
}

void PropertyLowering::window(const Prop& p, Lit act) {
  Aig& aig = e_.aig_;
  const int last = length(p);
  if (last > kMaxWindow) unsupported(p);
  const bool antecedent = has_antecedent(p);
  Lit alive = aig.land(act, negate(disabled_));
  for (int k = 0; k <= last; ++k) {
    if (k > 0) alive = aig.land(delay(alive, 0), negate(disabled_));
    bad_ = aig.lor(bad_, aig.land(alive, negate(holds(p, 0, k, true))));
    if (antecedent) {
      fire_ = aig.lor(fire_, aig.land(alive, fires(p, 0, k)));
      has_fire_ = true;
    }
    if (e_.aig_.size() > 24000000) unsupported(p);
  }
}

void PropertyLowering::activate(const Prop& p, Lit act) {
  Aig& aig = e_.aig_;
  const Lit enabled = negate(disabled_);
  act = aig.land(act, enabled);
  if (length(p) < kUnbounded) return window(p, act);
  const auto now = [&](const Prop& operand) {
    if (length(operand) != 0) unsupported(p);
    return holds(operand, 0, 0, true);
  };
  switch (p.kind) {
    case PropKind::kClocked: case PropKind::kWeak: return activate(p.args[0], act);
    case PropKind::kAnd:
      if (is_sequence(p)) break;
      activate(p.args[0], act);
      return activate(p.args[1], act);
    case PropKind::kIf: {
      const Lit c = atom(*p.expr, 0, 0, true);
      activate(p.args[0], aig.land(act, c));
      if (p.args.size() > 1) {
        activate(p.args[1], aig.land(act, negate(c)));
      } else {
        fire_ = aig.lor(fire_, aig.land(act, c));
        has_fire_ = true;
      }
      return;
    }
    case PropKind::kImplies: {
      const Lit c = now(p.args[0]);
      fire_ = aig.lor(fire_, aig.land(act, c));
      has_fire_ = true;
      return activate(p.args[1], aig.land(act, c));
    }
    case PropKind::kNextTime: case PropKind::kSNextTime: {
      Lit later = act;
      for (int n = p.low ? range(p).low : 1; n > 0; --n) later = aig.land(delay(later, 0), enabled);
      return activate(p.args[0], later);
    }
    case PropKind::kOverlap: case PropKind::kNonOverlap: {
      const int last = length(p.args[0]);
      if (last > kMaxWindow) unsupported(p.args[0]);
      Lit alive = act, matched = kFalse;
      for (int k = 0; k <= last; ++k) {
        if (k > 0) alive = aig.land(delay(alive, 0), enabled);
        matched = aig.lor(matched, aig.land(alive, match(p.args[0], 0, k, k, false)));
      }
      if (!has_antecedent(p.args[1])) {
        fire_ = aig.lor(fire_, matched);
        has_fire_ = true;
      }
      return activate(p.args[1], p.kind == PropKind::kOverlap ? matched : delay(matched, 0));
    }
    case PropKind::kAlways: {
      if (p.low) break;
      const Lit token = delay(kFalse, 0);
      const Lit on = aig.land(aig.lor(act, token), enabled);
      e_.design_.states[e_.design_.leaf_info(token).index].next = on;
      return activate(p.args[0], on);
    }
    case PropKind::kUntil: case PropKind::kUntilWith: {
      const Lit hold = now(p.args[0]), end = now(p.args[1]);
      const Lit token = delay(kFalse, 0);
      const Lit on = aig.land(aig.lor(act, token), enabled);
      e_.design_.states[e_.design_.leaf_info(token).index].next = aig.land(on, negate(end));
      const Lit need = p.kind == PropKind::kUntil ? aig.land(on, negate(end)) : on;
      bad_ = aig.lor(bad_, aig.land(need, negate(hold)));
      return;
    }
    default: break;
  }
  unsupported(p);
}

void PropertyLowering::lower(const Prop& property, Check& check) {
  place_ = property.span;
  const Prop* body = &e_.design_.props.emplace_back(expand(property, 0));
  for (;;) {
    if (body->kind == PropKind::kClocked) {
      const Clock clock = e_.resolve_clock(*body->event, frame_.scope, body->span);
      if (has_clock_ && !(clock == clock_)) throw SourceError{body->span, "@ of a second clock", StatusCode::kUnimplemented};
      clock_ = clock;
      has_clock_ = true;
    } else if (body->kind != PropKind::kDisable) {
      break;
    }
    body = &body->args[0];
  }
  if (!has_clock_ && frame_.has_clock) {
    clock_ = frame_.clock;
    has_clock_ = true;
  }
  if (!has_clock_ && frame_.scope->default_clock) {
    clock_ = e_.resolve_clock(*frame_.scope->default_clock, frame_.scope->default_clock_scope, property.span);
    has_clock_ = true;
  }
  frame_.has_clock = has_clock_;
  frame_.clock = clock_;
  frame_.in_assertion = true;
  frame_.env = nullptr;
  bool own_disable = false;
  for (const Prop* p = &e_.design_.props.back(); p != body; p = &p->args[0]) {
    if (p->kind != PropKind::kDisable) continue;
    if (own_disable) unsupported(*p);
    own_disable = true;
    disabled_ = e_.condition(*p->expr, frame_);
  }
  if (!own_disable && frame_.scope->default_disable) disabled_ = e_.condition(*frame_.scope->default_disable, frame_);
  check_supported(*body);
  const bool guarded = frame_.guard != kTrue;
  activate(*body, frame_.guard);
  check.bad = bad_;
  check.has_clock = has_clock_;
  check.clock = clock_;
  check.has_fire = has_fire_ || guarded;
  check.fire = has_fire_ ? fire_ : e_.aig_.land(frame_.guard, negate(disabled_));
}

void Elaborator::lower_assertion(const ast::Assertion& assertion, const std::string& label, Frame& frame, Span span) {
  if (assertion.kind == ast::AssertKind::kCover || assertion.kind == ast::AssertKind::kCoverSequence) return;
  Check check;
  check.kind = assertion.kind;
  check.source = &assertion;
  check.span = span;
  check.name = label.empty() ? "" : frame.scope->path + label;
  try {
    Frame inner = frame;
    inner.in_assertion = true;
    if (assertion.concurrent) {
      if (frame.is_initial) unsupported(assertion.span, "concurrent assertion in an initial block");
      PropertyLowering lowering(*this, inner);
      lowering.lower(*assertion.property, check);
    } else {
      const Lit guard = aig_.land(frame.guard, negate(frame.dead));
      const Lit holds = condition(*assertion.expr, inner);
      check.bad = aig_.land(guard, negate(holds));
      check.fire = guard;
      check.has_fire = guard != kTrue && !frame.is_initial;
      check.has_clock = frame.has_clock;
      check.clock = frame.clock;
    }
  } catch (const SourceError& problem) {
    // An assertion that cannot be lowered (a construct, an unknown name) does not end the others.
    if (problem.code == StatusCode::kResourceExhausted) throw;
    check.supported = false;
    check.reason = problem.message;
    check.reason_span = problem.span;
    check.reason_code = problem.code;
  }
  add_check(std::move(check), frame.scope->path);
}

// A statement that is executed several times (a loop, a function) is one assertion: it fails where one of them fails.
void Elaborator::add_check(Check check, const std::string& path) {
  std::vector<size_t>& same = checks_of_[{check.source, path}];
  for (size_t i : same) {
    Check& other = design_.checks[i];
    if (check.reached && other.reached && (other.has_clock != check.has_clock || (check.has_clock && !(other.clock == check.clock)))) continue;
    if (!check.reached || !other.supported) return;
    if (!other.reached || !check.supported) {
      other = std::move(check);
      return;
    }
    other.bad = aig_.lor(other.bad, check.bad);
    other.fire = aig_.lor(other.has_fire ? other.fire : kTrue, check.has_fire ? check.fire : kTrue);
    other.has_fire = other.fire != kTrue;
    return;
  }
  same.push_back(design_.checks.size());
  design_.checks.push_back(std::move(check));
}

}  // namespace callie::assertions
