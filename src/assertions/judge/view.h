#pragma once

#include <optional>
#include <vector>

#include "assertions/syntax/ast.h"

namespace callie::assertions {

/// An assertion of the usual form taken apart: [@(clock)] [disable iff (d)] a && b |-> consequent, or an immediate one
/// below if/else. Other forms have no view.
struct AssertionView {
  enum class Form { kPlain, kOverlap, kNonOverlap, kImmediate } form = Form::kPlain;
  ast::Box<ast::EventControl> clock;
  ast::Box<ast::Expr> disable;
  std::vector<ast::Expr> antecedent;  ///< terms joined by &&
  Span antecedent_span;
  Span op_span;                       ///< of |-> or |=>
  ast::Prop consequent;
  Span span;

  /// The consequent as one expression; null when it is a sequence or property.
  const ast::Expr* consequent_expr() const { return consequent.kind == ast::PropKind::kBoolean ? &*consequent.expr : nullptr; }
};

std::optional<AssertionView> view_of(const ast::Item& item);
/// An item that says what the view says: a concurrent assertion, or an always_comb process.
ast::Item build(const AssertionView& view);

}  // namespace callie::assertions
