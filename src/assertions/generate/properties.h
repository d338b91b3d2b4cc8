#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assertions/generate/names.h"
#include "assertions/generate/snippet.h"
#include "assertions/syntax/ast.h"
#include "core/status.h"

namespace callie::assertions {

/// An assertion that symbolic execution gives for a snippet.
struct Derived {
  std::string name;
  ast::Item item;                          ///< in a form that Verilator takes
  std::optional<ast::Item> sequence_item;  ///< the same with ##, where `item` spells the cycles out
  std::string form;                        ///< "|=>", "|->", "immediate", "##"
  std::optional<ast::Expr> antecedent;
  ast::Expr consequent;
  std::string target;
  int path = -1;
  bool disables = false;                   ///< has `disable iff`
};

struct DerivedSet {
  std::vector<Derived> assertions;
  std::vector<std::pair<std::string, std::vector<ast::Expr>>> path_sets;  ///< target -> conditions: disjoint, exhaustive
  std::vector<ast::Item> helpers;          ///< history that `item`s need, for the wrapper
  std::vector<ast::Item> constant_targets; ///< for each constant that a path gives a target: "it is always that"; no part of the pair
};

/// One assertion for each path and target (or, with `by_branch`, for each path with all its targets), reset values
/// for asynchronous resets, and what the tier adds: sequences over pipelines, $rose and $fell, handshakes.
/// Errors: kUnimplemented when paths cannot be enumerated or there are too many.
StatusOr<DerivedSet> derive(const Snippet& snippet, bool by_branch, int tier, Dice& dice);

}  // namespace callie::assertions
