#include "assertions/generate/lowered.h"

#include "assertions/generate/expressions.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Item;
using ast::ItemKind;
using ast::Op;
using ast::Prop;
using ast::PropKind;
using ast::Stmt;
using ast::StmtKind;

namespace {

class Lowerer {
 public:
  Lowerer(const Snippet& snippet, const DerivedSet& set) : snippet_(snippet), set_(set), widths_(snippet.widths()) {
    for (const Item& helper : set.helpers) {
      for (const ast::Declarator& name : helper.names) widths_[name.name] = 4;
    }
  }

  std::string run() {
    items_ = set_.helpers;
    for (const Derived& d : set_.assertions) {
      if (!d.item.assertion) {
        items_.push_back(d.item);
        continue;
      }
      label_ = d.name;
      count_ = 0;
      const Prop* body = &d.item.assertion->property->args[0];
      std::vector<Expr> enabled;
      if (body->kind == PropKind::kDisable) {
        enabled.push_back(negation(*body->expr));
        body = &body->args[0];
      }
      std::vector<Expr> before = enabled;
      before.push_back(without_history(*body->args[0].expr));
      Expr guard = conjunction(before);
      if (body->kind == PropKind::kNonOverlap) {
        std::vector<Expr> now{remember(guard, 1, true)};
        now.insert(now.end(), enabled.begin(), enabled.end());
        guard = conjunction(now);
      }
      Stmt check;
      check.kind = StmtKind::kAssert;
      check.label = d.name;
      check.assertion = ast::Assertion{};
      check.assertion->expr = without_history(*body->args[1].expr);
      Stmt s;
      s.kind = StmtKind::kIf;
      s.expr = guard;
      s.body.push_back(std::move(check));
      Item item;
      item.kind = ItemKind::kAlways;
      item.always = ast::AlwaysKind::kComb;
      item.body.push_back(std::move(s));
      items_.push_back(std::move(item));
    }
    return print(snippet_.module(items_));
  }

 private:
  Expr without_history(const Expr& e) {
    if (e.kind == ExprKind::kCall && !e.args.empty()) {
      const Expr inner = without_history(e.args[0]);
      if (e.name == "$past") {
        Expr out = inner;
        const int n = e.args.size() > 1 ? static_cast<int>(e.args[1].number->value[0]) : 1;
        const int width = width_of(e.args[0], widths_);
        for (int i = 0; i < n; ++i) out = remember(out, width, false);
        return out;
      }
      const Expr before = remember(inner, width_of(e.args[0], widths_), false);
      if (e.name == "$rose") return ast::make_binary(Op::kLogicAnd, inner, ast::make_unary(Op::kNot, before));
      if (e.name == "$fell") return ast::make_binary(Op::kLogicAnd, ast::make_unary(Op::kNot, inner), before);
      if (e.name == "$stable") return ast::make_binary(Op::kEq, inner, before);
    }
    Expr out = e;
    for (Expr& arg : out.args) arg = without_history(arg);
    return out;
  }

  // A register that holds what `value` was one clock ago.
  Expr remember(const Expr& value, int width, bool starts_false) {
    const std::string name = fmt::format("{}_h{}", label_, count_++);
    widths_[name] = width;
    Item decl;
    decl.kind = ItemKind::kDecl;
    decl.type = logic_type(width);
    decl.names.emplace_back();
    decl.names[0].name = name;
    if (starts_false) decl.names[0].init = ast::make_number_expr(1, 0, 'b');
    items_.push_back(std::move(decl));
    items_.push_back(register_process(snippet_.event(), name, value));
    return ast::make_name(name);
  }

  const Snippet& snippet_;
  const DerivedSet& set_;
  std::map<std::string, int> widths_;
  std::vector<Item> items_;
  std::string label_;
  int count_ = 0;
};

}  // namespace

std::string lowered_module(const Snippet& snippet, const DerivedSet& set) { return Lowerer(snippet, set).run(); }

}  // namespace callie::assertions
