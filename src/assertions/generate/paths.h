#pragma once

#include <string>
#include <vector>

#include "assertions/syntax/ast.h"
#include "core/status.h"

/// Symbolic execution of one process: every path through its if and case statements, with the condition of the path
/// and what each target holds at its end in terms of the values before.
namespace callie::assertions {

/// A path, as far as it matters for one target (or for all).
struct Path {
  std::vector<ast::Expr> guards;                             ///< conjoined: the path condition
  std::vector<std::pair<std::string, ast::Expr>> values;     ///< target as written -> final value; absent: not written
  const ast::Expr* value(const std::string& target) const;
};

/// A decision tree over paths. Kept as a tree so that decisions which do not matter for a target can be dropped.
struct PathTree {
  std::vector<ast::Expr> guards;    ///< of each child; pairwise disjoint and exhaustive
  std::vector<PathTree> children;   ///< empty: a leaf
  std::vector<std::pair<std::string, ast::Expr>> values;
};

/// Executes `body`. Blocking assignments substitute, nonblocking ones read the values before; the last write wins.
/// Errors: kUnimplemented for loops, calls, compound or overlapping partial assignments, labels that are no
/// constants, and more than `max_leaves` paths.
StatusOr<PathTree> execute_paths(const ast::Stmt& body, int max_leaves = 64);

/// The targets that are written, in the order of their first write.
std::vector<std::string> targets_of(const PathTree& tree);
/// The paths that matter for `target`: decisions with the same value on every side are dropped.
std::vector<Path> paths_for(const PathTree& tree, const std::string& target);
/// All leaves with all values.
std::vector<Path> all_paths(const PathTree& tree);

}  // namespace callie::assertions
