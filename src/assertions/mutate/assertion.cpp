#include <algorithm>
#include <functional>

#include "assertions/generate/expressions.h"
#include "assertions/mutate/mutate.h"

namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Item;
using ast::Op;
using ast::Prop;
using ast::PropKind;
using ast::Stmt;
using ast::StmtKind;

namespace {

/// The parts of an assertion that are changed, as pointers into one copy.
struct Parts {
  std::vector<Expr*> antecedents;
  std::vector<Expr*> consequents;
  std::vector<Prop*> implications, disables;
  std::vector<ast::EventControl*> events;
  std::vector<Stmt*> asserts;
};

void find_booleans(Prop& p, std::vector<Expr*>& out) {
  if (p.kind == PropKind::kBoolean && p.expr) out.push_back(&*p.expr);
  for (Prop& arg : p.args) find_booleans(arg, out);
}

void find(Prop& p, Parts& parts) {
  switch (p.kind) {
    case PropKind::kClocked:
      parts.events.push_back(&*p.event);
      return find(p.args[0], parts);
    case PropKind::kDisable:
      parts.disables.push_back(&p);
      return find(p.args[0], parts);
    case PropKind::kOverlap: case PropKind::kNonOverlap:
      parts.implications.push_back(&p);
      find_booleans(p.args[0], parts.antecedents);
      return find(p.args[1], parts);
    default: find_booleans(p, parts.consequents);
  }
}

void find(Stmt& s, Parts& parts) {
  if (s.kind == StmtKind::kIf) parts.antecedents.push_back(&*s.expr);
  if (s.kind == StmtKind::kAssert && s.assertion) {
    parts.asserts.push_back(&s);
    if (s.assertion->concurrent) find(*s.assertion->property, parts);
    else parts.consequents.push_back(&*s.assertion->expr);
  }
  for (Stmt& inner : s.body) find(inner, parts);
}

Parts parts_of(Item& item) {
  Parts out;
  if (item.assertion) {
    if (item.assertion->concurrent) find(*item.assertion->property, out);
    else out.consequents.push_back(&*item.assertion->expr);
  }
  for (Stmt& s : item.body) find(s, out);
  return out;
}

// Calls `f` on the expression and everything below it, in order.
void walk(Expr& e, const std::function<void(Expr&)>& f) {
  f(e);
  for (Expr& arg : e.args) walk(arg, f);
}

class Mutator {
 public:
  Mutator(const Item& item, const std::map<std::string, int>& widths) : item_(item), widths_(widths) {}

  std::vector<AssertionMutant> run() {
    expressions("drop-negation", true, false, 3, [](Expr& e) {
      if (e.kind == ExprKind::kUnary && e.op == Op::kNot) {
        Expr inner = e.args[0];
        e = std::move(inner);
        return true;
      }
      if (e.kind == ExprKind::kBinary && e.op == Op::kNe) {
        e.op = Op::kEq;
        return true;
      }
      return false;
    });
    or_join();
    swap_rhs();
    expressions("flip-bit", true, true, 3, [](Expr& e) {
      if (e.kind != ExprKind::kNumber || !e.number->sized || e.number->has_unknown()) return false;
      e.number->value[0] ^= 1;
      return true;
    });
    implication();
    edge();
    past_depth();
    drop_disable();
    return std::move(out_);
  }

 private:
  // One mutant for each of the first `limit` places where `change` applies.
  void expressions(const std::string& kind, bool antecedents, bool consequents, int limit,
                   const std::function<bool(Expr&)>& change) {
    for (int place = 0; place < limit; ++place) {
      Item copy = item_;
      Parts parts = parts_of(copy);
      int seen = 0;
      bool done = false;
      const auto visit = [&](Expr& e) {
        if (done) return;
        // The literals of selects and the counts of $past are no values.
        Expr trial = e;
        if (!change(trial)) return;
        if (seen++ != place) return;
        e = std::move(trial);
        done = true;
      };
      const std::function<void(Expr&)> descend = [&](Expr& e) {
        visit(e);
        const bool select = e.kind == ExprKind::kIndex || e.kind == ExprKind::kRange || (e.kind == ExprKind::kCall && e.name == "$past");
        for (size_t i = 0; i < e.args.size() && !done; ++i) {
          if (!select || i == 0) descend(e.args[i]);
        }
      };
      // A constant antecedent stands for none: turned around it would only be vacuous.
      if (antecedents) for (Expr* e : parts.antecedents) if (!done && e->kind != ExprKind::kNumber) descend(*e);
      if (consequents) for (Expr* e : parts.consequents) if (!done) descend(*e);
      if (!done) return;
      add(kind, std::move(copy));
    }
  }

  void or_join() {
    Item copy = item_;
    Parts parts = parts_of(copy);
    bool changed = false;
    for (Expr* e : parts.antecedents) {
      for (Expr* at = e; at->kind == ExprKind::kBinary && at->op == Op::kLogicAnd; at = &at->args[0]) {
        at->op = Op::kLogicOr;
        changed = true;
      }
    }
    if (changed) add("or-join", std::move(copy));
  }

  // t == X with another signal in X, or with another value where X names none.
  void swap_rhs() {
    Item copy = item_;
    for (Expr* e : parts_of(copy).consequents) {
      Expr* at = e;
      while (at->kind == ExprKind::kBinary && at->op == Op::kLogicAnd) at = &at->args[0];
      if (at->kind == ExprKind::kCall && at->name == "$stable" && at->args.size() == 1) {
        const Expr target = at->args[0];
        if (const std::string other = same_width(target, target); !other.empty()) {
          *at = ast::make_binary(Op::kEq, target, ast::make_call("$past", {ast::make_name(other)}));
          return add("swap-rhs", std::move(copy));
        }
        return;
      }
      if (at->kind != ExprKind::kBinary || at->op != Op::kEq) continue;
      Expr* value = &at->args[1];
      if (value->kind == ExprKind::kCall && value->name == "$past") value = &value->args[0];
      const std::string other = same_width(*value, at->args[0]);
      if (other.empty()) continue;
      const bool past = value != &at->args[1];
      if (past || at->args[1].kind != ExprKind::kNumber || parts_of(copy).implications.empty()) *value = ast::make_name(other);
      else at->args[1] = ast::make_call("$past", {ast::make_name(other)});
      return add("swap-rhs", std::move(copy));
    }
  }

  std::string same_width(const Expr& value, const Expr& target) {
    const int width = width_of(value, widths_);
    std::set<std::string> names;
    collect_names(value, names);
    collect_names(target, names);
    for (const auto& [name, w] : widths_) {
      if (w == width && !names.contains(name)) return name;
    }
    return {};
  }

  void implication() {
    Item copy = item_;
    const Parts parts = parts_of(copy);
    if (parts.implications.empty()) return;
    Prop& p = *parts.implications[0];
    p.kind = p.kind == PropKind::kOverlap ? PropKind::kNonOverlap : PropKind::kOverlap;
    add("implication", std::move(copy));
  }

  void edge() {
    Item copy = item_;
    const Parts parts = parts_of(copy);
    if (parts.events.empty() || parts.events[0]->terms.empty()) return;
    ast::EventTerm& term = parts.events[0]->terms[0];
    if (term.edge == ast::Edge::kAny) return;
    term.edge = term.edge == ast::Edge::kPos ? ast::Edge::kNeg : ast::Edge::kPos;
    add("edge", std::move(copy));
  }

  void past_depth() {
    for (int delta : {1, -1}) {
      Item copy = item_;
      bool done = false;
      for (Expr* e : parts_of(copy).consequents) {
        walk(*e, [&](Expr& x) {
          if (done || x.kind != ExprKind::kCall) return;
          if (x.name == "$stable" && delta > 0 && x.args.size() == 1) {
            const Expr target = x.args[0];
            x = ast::make_binary(Op::kEq, target, ast::make_call("$past", {target, depth(2)}));
            done = true;
          } else if (x.name == "$past") {
            const int n = x.args.size() > 1 && x.args[1].kind == ExprKind::kNumber ? static_cast<int>(x.args[1].number->value[0]) : 1;
            if (x.args.size() > 2) return;
            done = true;
            if (n + delta == 0) {
              Expr inner = x.args[0];
              x = std::move(inner);
            } else {
              x.args.resize(1);
              if (n + delta > 1) x.args.push_back(depth(n + delta));
            }
          }
        });
      }
      if (done) add("past-depth", std::move(copy));
    }
  }

  static Expr depth(int n) {
    Expr out;
    out.number = ast::make_number(32, static_cast<uint64_t>(n), 'd');
    out.number->is_signed = true;
  out.number->sized = false;
    return out;
  }

  void drop_disable() {
    Item copy = item_;
    const Parts parts = parts_of(copy);
    if (parts.disables.empty()) return;
    Prop inner = parts.disables[0]->args[0];
    *parts.disables[0] = std::move(inner);
    add("drop-disable", std::move(copy));
  }

  void add(std::string kind, Item item) {
    const bool known = std::any_of(out_.begin(), out_.end(), [&](const AssertionMutant& m) { return m.item == item; });
    if (!known && !(item == item_)) out_.push_back({std::move(kind), std::move(item)});
  }

  const Item& item_;
  const std::map<std::string, int>& widths_;
  std::vector<AssertionMutant> out_;
};

}  // namespace

std::vector<AssertionMutant> assertion_mutants(const Item& assertion, const std::map<std::string, int>& widths) {
  return Mutator(assertion, widths).run();
}

std::string assertion_label(const Item& item) {
  if (item.assertion) return item.label;
  Item copy = item;
  const Parts parts = parts_of(copy);
  return parts.asserts.empty() ? "" : parts.asserts[0]->label;
}

void set_assertion_label(Item& item, const std::string& label) {
  if (item.assertion) {
    item.label = label;
    return;
  }
  for (Stmt* s : parts_of(item).asserts) s->label = label;
}

}  // namespace callie::assertions
