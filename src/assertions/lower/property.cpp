#include "assertions/lower/property.h"

#include <algorithm>

#include <fmt/format.h>

#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Prop;
using ast::PropKind;

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

}  // namespace callie::assertions
