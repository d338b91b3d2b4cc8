#include "assertions/syntax/walk.h"

#include <algorithm>
#include <optional>

namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Op;

namespace {

void visit_event(ast::Box<ast::EventControl>& event, const ExprVisitor& on_expr) {
  if (!event) return;
  for (ast::EventTerm& term : event->terms) {
    visit(term.expr, on_expr);
    if (term.iff) visit(*term.iff, on_expr);
  }
}

void visit_assertion(ast::Assertion& assertion, const ExprVisitor& on_expr, const PropVisitor& on_property) {
  if (assertion.expr) visit(*assertion.expr, on_expr);
  if (assertion.property) visit(*assertion.property, on_expr, on_property);
}

std::optional<Op> opposite_comparison(Op op) {
  switch (op) {
    case Op::kEq: return Op::kNe;
    case Op::kNe: return Op::kEq;
    case Op::kLt: return Op::kGe;
    case Op::kGe: return Op::kLt;
    case Op::kGt: return Op::kLe;
    case Op::kLe: return Op::kGt;
    default: return std::nullopt;
  }
}

bool is_comparison(const Expr& expr) { return expr.kind == ExprKind::kBinary && opposite_comparison(expr.op).has_value(); }

}  // namespace

void visit(Expr& expr, const ExprVisitor& on_expr) {
  if (on_expr) on_expr(expr);
  for (Expr& arg : expr.args) visit(arg, on_expr);
}

void visit(ast::Prop& property, const ExprVisitor& on_expr, const PropVisitor& on_property) {
  if (on_property) on_property(property);
  for (auto* expr : {&property.expr, &property.low, &property.high}) {
    if (*expr) visit(**expr, on_expr);
  }
  for (auto& labels : property.labels) {
    for (Expr& label : labels) visit(label, on_expr);
  }
  visit_event(property.event, on_expr);
  for (Expr& item : property.items) visit(item, on_expr);
  for (ast::Prop& arg : property.args) visit(arg, on_expr, on_property);
}

void visit(ast::Stmt& statement, const ExprVisitor& on_expr, const PropVisitor& on_property, const StmtVisitor& on_statement) {
  if (on_statement) on_statement(statement);
  if (statement.expr) visit(*statement.expr, on_expr);
  if (statement.target) visit(*statement.target, on_expr);
  if (statement.assertion) visit_assertion(*statement.assertion, on_expr, on_property);
  visit_event(statement.event, on_expr);
  for (ast::CaseArm& arm : statement.arms) {
    for (Expr& label : arm.labels) visit(label, on_expr);
    for (ast::Stmt& inner : arm.body) visit(inner, on_expr, on_property, on_statement);
  }
  for (auto* list : {&statement.body, &statement.init, &statement.step}) {
    for (ast::Stmt& inner : *list) visit(inner, on_expr, on_property, on_statement);
  }
}

void visit(ast::Item& item, const ExprVisitor& on_expr, const PropVisitor& on_property, const StmtVisitor& on_statement) {
  if (item.assertion) visit_assertion(*item.assertion, on_expr, on_property);
  if (item.property) visit(*item.property, on_expr, on_property);
  if (item.expr) visit(*item.expr, on_expr);
  visit_event(item.event, on_expr);
  for (ast::Declarator& name : item.names) {
    if (name.init) visit(*name.init, on_expr);
  }
  for (auto& [target, source] : item.assigns) {
    visit(target, on_expr);
    visit(source, on_expr);
  }
  for (ast::Stmt& statement : item.body) visit(statement, on_expr, on_property, on_statement);
  for (ast::Item& inner : item.items) visit(inner, on_expr, on_property, on_statement);
}

std::vector<Expr> conjuncts(const Expr& expr) {
  if (expr.kind == ExprKind::kUnary && expr.op == Op::kNot && is_comparison(expr.args[0])) return {negation(expr.args[0])};
  if (expr.kind != ExprKind::kBinary || expr.op != Op::kLogicAnd) return {expr};
  std::vector<Expr> out = conjuncts(expr.args[0]);
  for (Expr& right : conjuncts(expr.args[1])) out.push_back(std::move(right));
  return out;
}

Expr conjunction(const std::vector<Expr>& terms) {
  std::vector<Expr> kept;
  const auto add = [&](const auto& self, const Expr& term) -> void {
    if (term.kind == ExprKind::kBinary && term.op == Op::kLogicAnd) {
      self(self, term.args[0]);
      self(self, term.args[1]);
    } else if (!is_true_constant(term) && !contains(kept, term)) {
      kept.push_back(term);
    }
  };
  for (const Expr& term : terms) add(add, term);
  if (kept.empty()) return ast::make_number_expr(1, 1, 'b');
  Expr out = kept[0];
  for (size_t i = 1; i < kept.size(); ++i) {
    const Span span{out.span.file, out.span.begin, kept[i].span.end};
    out = ast::make_binary(Op::kLogicAnd, std::move(out), kept[i]);
    out.span = span;
  }
  return out;
}

Expr negation(const Expr& expr) {
  if (expr.kind == ExprKind::kUnary && expr.op == Op::kNot) return expr.args[0];
  Expr out = expr;
  if (is_comparison(expr)) {
    out.op = *opposite_comparison(expr.op);
    return out;
  }
  out = ast::make_unary(Op::kNot, expr);
  out.span = expr.span;
  return out;
}

bool is_true_constant(const Expr& expr) {
  return expr.kind == ExprKind::kNumber && expr.number->width == 1 && expr.number->bit(0) && !expr.number->has_unknown();
}

std::set<std::string> names_in(const Expr& expr) {
  std::set<std::string> out;
  Expr copy = expr;
  visit(copy, [&](Expr& e) {
    if (e.kind == ExprKind::kName) out.insert(e.name);
  });
  return out;
}

std::set<std::string> names_in(const ast::Prop& property) {
  std::set<std::string> out;
  ast::Prop copy = property;
  visit(copy, [&](Expr& e) {
    if (e.kind == ExprKind::kName) out.insert(e.name);
  });
  return out;
}

std::vector<std::string> written_names(const Expr& target) {
  if (target.kind == ExprKind::kConcat) {
    std::vector<std::string> out;
    for (const Expr& arg : target.args) {
      for (std::string& name : written_names(arg)) out.push_back(std::move(name));
    }
    return out;
  }
  if (target.kind == ExprKind::kName) return {target.name};
  return target.args.empty() ? std::vector<std::string>{} : written_names(target.args[0]);
}

bool contains(const std::vector<Expr>& terms, const Expr& term) {
  return std::find(terms.begin(), terms.end(), term) != terms.end();
}

std::vector<const ast::Module*> top_modules(const ast::Unit& unit) {
  std::set<std::string> used;
  const auto look = [&](const auto& self, const std::vector<ast::Item>& items) -> void {
    for (const ast::Item& item : items) {
      if (item.kind == ast::ItemKind::kInstance) used.insert(item.name);
      self(self, item.items);
    }
  };
  look(look, unit.items);
  for (const ast::Module& module : unit.modules) look(look, module.items);
  std::vector<const ast::Module*> out;
  for (const ast::Module& module : unit.modules) {
    if (module.kind == ast::Module::Kind::kModule && !used.contains(module.name)) out.push_back(&module);
  }
  return out;
}

}  // namespace callie::assertions
