#include "assertions/judge/view.h"

#include "assertions/judge/answer.h"
#include "assertions/syntax/walk.h"

namespace callie::assertions {
namespace {

using ast::PropKind;
using ast::Stmt;
using ast::StmtKind;

bool holds_assertion(const Stmt& statement) {
  bool found = false;
  Stmt copy = statement;
  for_each_assertion(copy, [&](Stmt&) { found = true; });
  return found;
}

// The way down to the one assertion: conditions of ifs. False when something else stands on it.
bool descend(const Stmt& s, AssertionView& out) {
  switch (s.kind) {
    case StmtKind::kAssert: {
      if (s.assertion->concurrent) return false;
      out.consequent.kind = PropKind::kBoolean;
      out.consequent.expr = *s.assertion->expr;
      out.consequent.span = s.assertion->expr->span;
      out.span = s.span;
      return true;
    }
    case StmtKind::kBlock: {
      const Stmt* way = nullptr;
      for (const Stmt& inner : s.body) {
        if (inner.kind == StmtKind::kNull) continue;
        if (inner.kind == StmtKind::kIf && !holds_assertion(inner)) continue;
        if (way) return false;
        way = &inner;
      }
      return way && descend(*way, out);
    }
    case StmtKind::kIf: {
      if (s.body.empty()) return false;
      const bool first = holds_assertion(s.body[0]);
      if (!first && s.body.size() < 2) return false;
      for (ast::Expr& term : conjuncts(first ? *s.expr : negation(*s.expr))) out.antecedent.push_back(std::move(term));
      out.antecedent_span = s.expr->span;
      return descend(s.body[first ? 0 : 1], out);
    }
    default: return false;
  }
}

}  // namespace

std::optional<AssertionView> view_of(const ast::Item& item) {
  AssertionView out;
  if (item.kind == ast::ItemKind::kAlways) {
    out.form = AssertionView::Form::kImmediate;
    const Stmt* body = &item.body[0];
    if (body->kind == StmtKind::kTimed) {
      if (body->body.empty()) return std::nullopt;
      for (const ast::EventTerm& term : body->event->terms) {
        if (term.edge != ast::Edge::kAny) return std::nullopt;
      }
      body = &body->body[0];
    }
    if (!descend(*body, out)) return std::nullopt;
    return out;
  }
  if (item.kind != ast::ItemKind::kAssertion || !item.assertion) return std::nullopt;
  out.span = item.span;
  if (!item.assertion->concurrent) {
    out.form = AssertionView::Form::kImmediate;
    out.consequent.kind = PropKind::kBoolean;
    out.consequent.expr = *item.assertion->expr;
    return out;
  }
  const ast::Prop* p = &*item.assertion->property;
  for (; p->kind == PropKind::kClocked || p->kind == PropKind::kDisable; p = &p->args[0]) {
    if (p->kind == PropKind::kClocked) out.clock = *p->event;
    else out.disable = *p->expr;
  }
  if (p->kind != PropKind::kOverlap && p->kind != PropKind::kNonOverlap) {
    out.consequent = *p;
    return out;
  }
  if (p->args[0].kind != PropKind::kBoolean) return std::nullopt;
  out.form = p->kind == PropKind::kOverlap ? AssertionView::Form::kOverlap : AssertionView::Form::kNonOverlap;
  out.op_span = p->op_span;
  out.antecedent = conjuncts(*p->args[0].expr);
  out.antecedent_span = p->args[0].span;
  out.consequent = p->args[1];
  return out;
}

ast::Item build(const AssertionView& view) {
  ast::Item out;
  out.span = view.span;
  ast::Assertion assertion;
  assertion.span = view.span;
  if (view.form == AssertionView::Form::kImmediate) {
    assertion.expr = *view.consequent.expr;
    Stmt statement;
    statement.kind = StmtKind::kAssert;
    statement.assertion = std::move(assertion);
    if (!view.antecedent.empty()) {
      Stmt guarded;
      guarded.kind = StmtKind::kIf;
      guarded.expr = conjunction(view.antecedent);
      guarded.body.push_back(std::move(statement));
      statement = std::move(guarded);
    }
    out.kind = ast::ItemKind::kAlways;
    out.always = ast::AlwaysKind::kComb;
    out.body.push_back(std::move(statement));
    return out;
  }
  ast::Prop body = view.consequent;
  if (view.form != AssertionView::Form::kPlain) {
    ast::Prop left;
    left.expr = conjunction(view.antecedent);
    left.span = view.antecedent_span;
    ast::Prop implication;
    implication.kind = view.form == AssertionView::Form::kOverlap ? PropKind::kOverlap : PropKind::kNonOverlap;
    implication.op_span = view.op_span;
    implication.span = view.span;
    implication.args.push_back(std::move(left));
    implication.args.push_back(std::move(body));
    body = std::move(implication);
  }
  if (view.disable) {
    ast::Prop disable;
    disable.kind = PropKind::kDisable;
    disable.expr = *view.disable;
    disable.args.push_back(std::move(body));
    body = std::move(disable);
  }
  if (view.clock) {
    ast::Prop clocked;
    clocked.kind = PropKind::kClocked;
    clocked.event = *view.clock;
    clocked.args.push_back(std::move(body));
    body = std::move(clocked);
  }
  assertion.concurrent = true;
  assertion.property = std::move(body);
  out.kind = ast::ItemKind::kAssertion;
  out.assertion = std::move(assertion);
  return out;
}

}  // namespace callie::assertions
