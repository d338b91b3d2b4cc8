#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "assertions/syntax/ast.h"

/// Small tools over syntax trees. The visitors see every expression below a node, outer ones first, and may change it.
namespace callie::assertions {

using ExprVisitor = std::function<void(ast::Expr&)>;
using StmtVisitor = std::function<void(ast::Stmt&)>;
using PropVisitor = std::function<void(ast::Prop&)>;

void visit(ast::Expr& expr, const ExprVisitor& on_expr);
void visit(ast::Prop& property, const ExprVisitor& on_expr, const PropVisitor& on_property = {});
void visit(ast::Stmt& statement, const ExprVisitor& on_expr, const PropVisitor& on_property = {},
           const StmtVisitor& on_statement = {});
void visit(ast::Item& item, const ExprVisitor& on_expr, const PropVisitor& on_property = {},
           const StmtVisitor& on_statement = {});

/// The operands of && (and of logical and bitwise & of single conditions is not looked into); !(a < b) is a >= b.
std::vector<ast::Expr> conjuncts(const ast::Expr& expr);
/// a && b && ..., flat; equal terms stand once, 1'b1 not at all unless there is nothing else.
ast::Expr conjunction(const std::vector<ast::Expr>& terms);
/// The logical opposite as a person would write it: == becomes !=, < becomes >=, !x becomes x.
ast::Expr negation(const ast::Expr& expr);
bool is_true_constant(const ast::Expr& expr);
/// Plain names that an expression reads.
std::set<std::string> names_in(const ast::Expr& expr);
std::set<std::string> names_in(const ast::Prop& property);
/// The variable that an assignment's target writes: "a" of a[3:0] and a.b; several for a concatenation.
std::vector<std::string> written_names(const ast::Expr& target);
bool contains(const std::vector<ast::Expr>& terms, const ast::Expr& term);
/// The modules that nothing instantiates or binds, in order.
std::vector<const ast::Module*> top_modules(const ast::Unit& unit);

}  // namespace callie::assertions
