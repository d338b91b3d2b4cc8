#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "assertions/syntax/walk.h"

/// Small operations on syntax trees that the generator, the mutators and the lowering to text share.
namespace callie::assertions {

/// a || b || ...; equal terms stand once. Nothing at all gives 1'b0.
ast::Expr any_of(const std::vector<ast::Expr>& terms);
/// The expression with names replaced by values; a name selected from ("a[1]") is replaced only by a name.
/// Sets `failed` where that is impossible.
ast::Expr substitute(const ast::Expr& expr, const std::map<std::string, ast::Expr>& values, bool& failed);
/// Every name that the expression reads.
void collect_names(const ast::Expr& expr, std::set<std::string>& names);

/// A plain decimal number, as in an index.
ast::Expr integer(int n);
/// always_ff @(event) name <= value;
ast::Item register_process(const ast::EventControl& event, const std::string& name, const ast::Expr& value);

/// The self-determined width of an expression of the kinds that the generator writes; 0 for others.
int width_of(const ast::Expr& expr, const std::map<std::string, int>& widths);

}  // namespace callie::assertions
