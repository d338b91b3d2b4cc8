#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assertions/syntax/ast.h"
#include "core/status.h"

/// The control structure of a process without any of its text: what is nested in what, how many branches there are
/// and where assignments stand. The unit of the shape bank.
namespace callie::assertions {

struct Skeleton {
  enum class Process : uint8_t { kComb, kClocked, kSyncReset, kAsyncReset, kLatch };
  struct Node {
    enum class Kind : uint8_t { kAssign, kIf, kCase } kind = Kind::kAssign;
    int target = 0;                              ///< kAssign: index of the written variable in order of first write
    ast::CaseKind case_kind = ast::CaseKind::kCase;
    ast::Uniqueness unique = ast::Uniqueness::kNone;
    std::vector<int> labels;                     ///< kCase: labels of each arm; 0 is default
    std::vector<std::vector<Node>> parts;        ///< kIf: then [, else]; kCase: arms
  };
  Process process = Process::kComb;
  bool negedge = false;
  std::vector<Node> body;                        ///< of the branch behind the reset

  int depth() const;      ///< of nested if and case
  int branches() const;   ///< arms of all if and case
  int assigns() const;
  int targets() const;
};

/// "F{i{a0}{a1}}": process letter (C comb, F clocked, S synchronous reset, A asynchronous reset, L latch; lower case:
/// negedge), then nodes: aN; i{then}{else}; c|z|x|n (case, casez, casex, case inside) with u, p or 0 for
/// unique, priority, unique0, then N{arm} for an arm of N labels, 0{arm} for the default, closed by e.
std::string to_text(const Skeleton& skeleton);
/// Errors: kDataLoss.
StatusOr<Skeleton> parse_skeleton(std::string_view text);

/// The structure of an always block. Statements that are neither assignment, if nor case count as nothing.
/// A leading `if (reset)` of a clocked process becomes the process kind when it looks like one: the signal of another
/// edge, or a name with rst/reset in it, and every branch below assigns constants only.
Skeleton skeleton_of(const ast::Item& always);

}  // namespace callie::assertions
