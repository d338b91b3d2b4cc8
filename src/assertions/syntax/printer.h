#pragma once

#include <string>

#include "assertions/syntax/ast.h"

/// Text from syntax trees. What these print parses back to an equal tree; parentheses stand only where they must.
/// Layout: two spaces of indent, one statement a line.
namespace callie::assertions {

std::string print(const ast::Expr& expr);
std::string print(const ast::Prop& property);
std::string print(const ast::DataType& type);
std::string print(const ast::EventControl& event);
/// `indent` counts levels of two spaces in front of each line; every line ends with '\n'.
std::string print(const ast::Stmt& statement, int indent = 0);
std::string print(const ast::Item& item, int indent = 0);
/// "assert property (...);" or "assert (...) else ...;", without a label and a line end.
std::string print(const ast::Assertion& assertion);
std::string print(const ast::Module& module);
std::string print(const ast::Unit& unit);
/// A printed text without the line ends at its end.
std::string trimmed(std::string text);

}  // namespace callie::assertions
