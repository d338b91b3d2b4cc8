#pragma once

#include <string>
#include <vector>

#include "assertions/syntax/ast.h"

namespace callie::assertions {

/// A condition that an assignment stands under.
struct Guard {
  ast::Expr condition;          ///< as it must hold: negated for an else part, selector == label for a case arm
  const ast::Stmt* statement;   ///< the if or case
};

/// One assignment of a process or a continuous assignment.
struct Assignment {
  std::string target;           ///< name of the variable
  ast::Expr source;
  bool nonblocking = false;
  bool clocked = false;         ///< in a process with an edge
  int process = 0;
  std::vector<Guard> guards;    ///< outermost first
  Span span;
};

/// An if statement together with those beside it in the same list.
struct Siblings {
  std::vector<const ast::Stmt*> ifs;
};

/// What the judge knows of a module's structure. Points into the module.
struct ModuleStructure {
  std::vector<Assignment> assignments;
  std::vector<Siblings> siblings;
  std::vector<std::string> clocks;  ///< "posedge clk": first edge of each clocked process
  struct AsyncReset { std::string name; bool active_high; };
  std::vector<AsyncReset> resets;
  /// A place where one process assigns module variables with both = and <=; no place when none does.
  bool mixes = false;
  Span mixed_at;
};

ModuleStructure structure_of(const ast::Module& module);

}  // namespace callie::assertions
