#include "assertions/judge/causes.h"

#include <algorithm>

#include "assertions/syntax/walk.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {
namespace {

using ast::Expr;
using ast::ExprKind;
using ast::Op;
using Form = AssertionView::Form;

bool is_comparison(const Expr& e) { return e.kind == ExprKind::kBinary && (e.op == Op::kEq || e.op == Op::kCaseEq); }

// The equalities of a consequent: a == b && c == d.
std::vector<const Expr*> equalities(const AssertionView& view) {
  std::vector<const Expr*> out;
  const auto look = [&](const auto& self, const Expr& e) -> void {
    if (is_comparison(e)) out.push_back(&e);
    if (e.kind == ExprKind::kBinary && e.op == Op::kLogicAnd) {
      for (const Expr& arg : e.args) self(self, arg);
    }
  };
  if (const Expr* e = view.consequent_expr()) look(look, *e);
  return out;
}

bool reads_past(const Expr& e) {
  bool found = false;
  Expr copy = e;
  visit(copy, [&](Expr& inner) { found = found || (inner.kind == ExprKind::kCall && inner.name == "$past"); });
  return found;
}

// a == b becomes a == $past(b) in every equality whose right side reads a signal.
bool past_sources(AssertionView& view) {
  if (view.consequent.kind != ast::PropKind::kBoolean) return false;
  bool changed = false;
  const auto look = [&](const auto& self, Expr& e) -> void {
    if (e.kind == ExprKind::kBinary && e.op == Op::kLogicAnd) {
      for (Expr& arg : e.args) self(self, arg);
    } else if (is_comparison(e) && !names_in(e.args[1]).empty() && !reads_past(e.args[1])) {
      e.args[1] = ast::make_call("$past", {e.args[1]});
      changed = true;
    }
  };
  look(look, *view.consequent.expr);
  return changed;
}

bool is_negative(const Expr& e) {
  return (e.kind == ExprKind::kUnary && e.op == Op::kNot) ||
         (e.kind == ExprKind::kBinary && (e.op == Op::kNe || e.op == Op::kCaseNe));
}

// || over negative terms becomes &&; the place of the first one is returned.
bool and_join(std::vector<Expr>& antecedent, Span* at) {
  bool changed = false;
  const auto look = [&](const auto& self, Expr& e) -> void {
    if (e.kind != ExprKind::kBinary) return;
    for (Expr& arg : e.args) self(self, arg);
    if (e.op != Op::kLogicOr && e.op != Op::kBitOr) return;
    const auto negative = [](const Expr& arg) {
      const std::vector<Expr> terms = conjuncts(arg);
      return std::all_of(terms.begin(), terms.end(), is_negative);
    };
    if (!negative(e.args[0]) || !negative(e.args[1])) return;
    if (!changed) *at = e.span;
    changed = true;
    e.op = Op::kLogicAnd;
  };
  for (Expr& term : antecedent) {
    const Span whole = term.span;
    const bool before = changed;
    look(look, term);
    if (changed && !before && at->end <= at->begin) *at = whole;
  }
  return changed;
}

std::string reset_text(const ModuleStructure::AsyncReset& reset) {
  return (reset.active_high ? "disable iff (" : "disable iff (!") + reset.name + ")";
}

// Assignments to `target` that could be what an assertion speaks of.
std::vector<const Assignment*> writers(const Bench& bench, const std::string& target) {
  std::vector<const Assignment*> out;
  for (const Assignment& a : bench.structure().assignments) {
    if (a.target == target) out.push_back(&a);
  }
  return out;
}

bool is_register(const Bench& bench, const std::string& name) {
  const auto list = writers(bench, name);
  return !list.empty() && list[0]->clocked;
}

}  // namespace

void explain_refutation(const SourceSet& sources, const Bench& bench, const AssertionView& view, const TryProof& proven,
                        std::vector<Diagnostic>& out) {
  const auto say = [&](Span span, std::string_view which, std::string message) {
    out.push_back(diagnose(sources, span, which, std::move(message)));
  };
  const auto holds = [&](const AssertionView& changed) { return proven(build(changed)); };
  const std::vector<const Expr*> equal = equalities(view);

  // An or-joined default is wrong whatever else is; the other small changes are then tried on top of it.
  AssertionView base = view;
  Span joined{};
  const bool was_joined = and_join(base.antecedent, &joined);
  const auto shifted = [&](AssertionView changed) {
    changed.form = Form::kNonOverlap;
    if (holds(changed)) return true;
    return past_sources(changed) && holds(changed);
  };
  bool explained = false;
  if (was_joined && (holds(base) || (base.form != Form::kImmediate && shifted(base)))) {
    say(joined, code::kOrJoinedDefault, "the conditions of the other branches must be joined with && here, not with ||: the "
                                        "default branch is taken only when none of them holds");
    explained = true;
  }
  if (!explained && view.form == Form::kOverlap && shifted(view)) {
    const std::string target = equal.empty() || written_names(equal[0]->args[0]).empty() ? "" : written_names(equal[0]->args[0])[0];
    say(view.op_span, code::kOverlapOnRegister,
        fmt::format("{} a register takes its new value after the clock edge: use |=> and $past() of the values read",
                    target.empty() ? "|-> looks at the same cycle;" : fmt::format("|-> looks at '{}' in the same cycle;", target)));
    explained = true;
  }
  if (!explained && view.form == Form::kNonOverlap) {
    AssertionView changed = view;
    if (past_sources(changed) && holds(changed)) {
      for (const Expr* e : equal) {
        if (names_in(e->args[1]).empty() || reads_past(e->args[1])) continue;
        say(e->args[1].span, code::kMissingPast,
            fmt::format("'{}' is read a cycle after the register took it: $past({}) is meant", print(e->args[1]), print(e->args[1])));
        break;
      }
      explained = true;
    } else {
      changed = view;
      changed.form = Form::kOverlap;
      if (holds(changed)) {
        say(view.op_span, code::kDelayWithoutRegister, "|=> waits a cycle, but the signal follows in the same cycle: use |->");
        explained = true;
      }
    }
  }
  if (!explained && !view.disable && view.form != Form::kImmediate) {
    for (const auto& reset : bench.structure().resets) {
      AssertionView changed = view;
      changed.disable = reset.active_high ? ast::make_name(reset.name) : ast::make_unary(Op::kNot, ast::make_name(reset.name));
      if (!holds(changed) && !(changed.form == Form::kOverlap && shifted(changed))) continue;
      say(view.span, code::kMissingReset, fmt::format("fails when the asynchronous reset is asserted: {} is missing", reset_text(reset)));
      explained = true;
      break;
    }
  }

  // Structure: what an asserted assignment reads, or its condition, is itself written in the same process.
  for (const Expr* e : equal) {
    for (const std::string& target : written_names(e->args[0])) {
      for (const Assignment* writer : writers(bench, target)) {
        const std::set<std::string> reads = names_in(writer->source);
        for (const std::string& source : names_in(e->args[1])) {
          if (source == target || !reads.contains(source)) continue;
          const auto overwriting = writers(bench, source);
          const bool same = std::any_of(overwriting.begin(), overwriting.end(), [&](const Assignment* a) { return a->process == writer->process; });
          if (!same || (reads_past(e->args[1]) && writer->nonblocking)) continue;
          say(e->args[1].span, code::kOverwrittenSource,
              fmt::format("'{}' is overwritten in the same block, so it no longer is what '{}' was given", source, target));
          goto condition;
        }
      }
    }
  }
condition:
  for (const Expr* e : equal) {
    for (const std::string& target : written_names(e->args[0])) {
      for (const Assignment* writer : writers(bench, target)) {
        if (writer->guards.empty()) continue;
        for (const Expr& term : view.antecedent) {
          if (reads_past(term)) continue;
          for (const std::string& read : names_in(term)) {
            const auto writes = writers(bench, read);
            const bool inside = std::any_of(writes.begin(), writes.end(), [&](const Assignment* a) {
              return a->process == writer->process && !a->guards.empty() && a->target != target &&
                     (!a->nonblocking || view.form == Form::kOverlap || !explained);
            });
            const bool guarded = names_in(writer->guards.back().condition).contains(read);
            if (!inside || !guarded) continue;
            // A state machine's |-> is the earlier finding; only a write that the condition itself sees adds to it.
            if (explained && !writes.empty() && writes[0]->nonblocking) continue;
            say(term.span, code::kSelfAssignedCondition, fmt::format("'{}' is assigned in the block that it is a condition of", read));
            return;
          }
        }
      }
    }
  }
  if (!explained && view.form == Form::kOverlap) {
    for (const Expr* e : equal) {
      for (const std::string& target : written_names(e->args[0])) {
        if (!is_register(bench, target)) continue;
        say(view.op_span, code::kOverlapOnRegister,
            fmt::format("|-> looks at '{}' in the same cycle; a register takes its new value after the clock edge: use |=> and $past() of the values read", target));
        return;
      }
    }
  }
}

void explain_clock(const SourceSet& sources, const AssertionView& view, const TryProof& proven, std::vector<Diagnostic>& out) {
  if (!view.clock || view.clock->terms.size() != 1) return;
  AssertionView changed = view;
  ast::Edge& edge = changed.clock->terms[0].edge;
  edge = edge == ast::Edge::kNeg ? ast::Edge::kPos : ast::Edge::kNeg;
  if (!proven(build(changed))) return;
  out.push_back(diagnose(sources, view.clock->span, code::kWrongClockEdge,
                         fmt::format("the registers change on the other edge: @({} {})", edge == ast::Edge::kNeg ? "negedge" : "posedge",
                                     print(view.clock->terms[0].expr))));
}

void check_literals(const SourceSet& sources, const ast::Item& item, std::vector<Diagnostic>& out) {
  ast::Item copy = item;
  std::vector<std::pair<uint32_t, uint32_t>> allowed;
  const auto on_expr = [&](Expr& e) {
    if (e.kind == ExprKind::kBinary && (e.op == Op::kWildEq || e.op == Op::kWildNe)) allowed.emplace_back(e.args[1].span.begin, e.args[1].span.end);
    if (e.kind == ExprKind::kInside) {
      for (size_t i = 1; i < e.args.size(); ++i) allowed.emplace_back(e.args[i].span.begin, e.args[i].span.end);
    }
    if (e.kind != ExprKind::kNumber || !e.number->has_unknown()) return;
    for (const auto& [begin, end] : allowed) {
      if (e.span.begin >= begin && e.span.end <= end) return;
    }
    out.push_back(diagnose(sources, e.span, code::kXLiteral,
                           fmt::format("{} has x or z digits: == with it is never true; ==? takes them as wildcards", print(e))));
  };
  visit(copy, on_expr);
}

void check_condition(const SourceSet& sources, const Bench& bench, const AssertionView& view, std::vector<Diagnostic>& out) {
  for (const Assignment& a : bench.structure().assignments) {
    if (a.nonblocking || a.guards.empty()) continue;
    for (const Guard& guard : a.guards) {
      if (!names_in(guard.condition).contains(a.target)) continue;
      for (const Expr& term : conjuncts(guard.condition)) {
        if (!names_in(term).contains(a.target)) continue;
        const auto it = std::find(view.antecedent.begin(), view.antecedent.end(), term);
        if (it == view.antecedent.end()) continue;
        out.push_back(diagnose(sources, it->span, code::kSelfAssignedCondition,
                               fmt::format("'{}' is assigned in the block that it is a condition of", a.target)));
        return;
      }
    }
  }
}

std::optional<ast::Item> without_sibling(const Bench& bench, const AssertionView& view, Span* sibling) {
  if (view.antecedent.size() < 2) return std::nullopt;
  std::set<std::string> targets;
  for (const Expr* e : equalities(view)) {
    for (const std::string& name : written_names(e->args[0])) targets.insert(name);
  }
  for (const std::string& target : targets) {
    for (const Assignment* writer : writers(bench, target)) {
      std::vector<Expr> needed;
      for (const Guard& guard : writer->guards) {
        for (Expr& term : conjuncts(guard.condition)) needed.push_back(std::move(term));
      }
      if (needed.empty() || !std::all_of(needed.begin(), needed.end(), [&](const Expr& term) { return contains(view.antecedent, term); })) continue;
      for (const Siblings& group : bench.structure().siblings) {
        const bool member = std::any_of(writer->guards.begin(), writer->guards.end(), [&](const Guard& guard) {
          return std::find(group.ifs.begin(), group.ifs.end(), guard.statement) != group.ifs.end();
        });
        if (!member) continue;
        for (const ast::Stmt* other : group.ifs) {
          if (std::any_of(writer->guards.begin(), writer->guards.end(), [&](const Guard& guard) { return guard.statement == other; })) continue;
          const std::vector<Expr> terms = conjuncts(*other->expr);
          if (!std::all_of(terms.begin(), terms.end(), [&](const Expr& term) { return contains(view.antecedent, term); })) continue;
          AssertionView wider = view;
          Span at{};
          std::erase_if(wider.antecedent, [&](const Expr& term) {
            if (!contains(terms, term) || contains(needed, term)) return false;
            at = term.span;
            return true;
          });
          if (wider.antecedent.size() == view.antecedent.size()) continue;
          *sibling = at;
          return build(wider);
        }
      }
    }
  }
  return std::nullopt;
}

}  // namespace callie::assertions
