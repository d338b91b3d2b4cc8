#pragma once

#include <map>
#include <string>
#include <vector>

#include "assertions/syntax/ast.h"

/// Deliberately wrong variants of assertions and designs. A variant may still be right: whether it is wrong is for
/// the prover to say.
namespace callie::assertions {

struct AssertionMutant {
  std::string kind;   ///< "drop-negation", "or-join", "swap-rhs", "flip-bit", "implication", "edge", "past-depth", "drop-disable"
  ast::Item item;
};

/// The variants of one assertion item: a concurrent assertion, or an always_comb with a guarded immediate one.
/// `widths` names the signals that may take the place of another of the same width.
std::vector<AssertionMutant> assertion_mutants(const ast::Item& assertion, const std::map<std::string, int>& widths);

/// The kinds of change that the processes of a module offer, one entry for each place: "delete-statement",
/// "move-statement", "nest-sibling", "swap-arms", "negate-condition", "stuck-rhs".
std::vector<std::string> design_mutation_sites(const ast::Module& module);
/// The module changed at one place. Changes may give what no tool accepts (a reset that is none); the caller checks.
ast::Module mutate_design(const ast::Module& module, size_t site);

/// The label by which an assertion item is known: its own, or that of the statement inside.
std::string assertion_label(const ast::Item& item);
void set_assertion_label(ast::Item& item, const std::string& label);

}  // namespace callie::assertions
