#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "assertions/judge/diagnostic.h"
#include "assertions/syntax/ast.h"

namespace callie::assertions {

/// One assertion of an answer, ready to stand at the end of a module by itself.
struct AnswerAssertion {
  std::string name;          ///< label, property name, or "assert_LINE"
  ast::Item item;            ///< an assertion, or a process that holds only this one; empty when `parsed` is false
  bool parsed = true;
  Span span;
  std::vector<Diagnostic> diagnostics;
};

/// An answer after parsing.
struct ParsedAnswer {
  std::vector<AnswerAssertion> assertions;
  std::vector<ast::Item> support;   ///< properties, sequences, clocking and helper logic that assertions use
  std::vector<Diagnostic> diagnostics;  ///< of the answer as a whole
};

/// Reads an answer. Mistakes end only the assertion they are in. A property that no assertion uses is judged as if it
/// were asserted, with a diagnostic. Names that the answer declares get `prefix` in front, so that they never meet the
/// module's; `taken` are the module's own names. The text is added to `sources` under `name`.
ParsedAnswer parse_answer(SourceSet& sources, const std::string& name, std::string_view text, const std::string& prefix,
                     const std::vector<std::string>& taken);

/// A diagnostic about `span`.
Diagnostic diagnose(const SourceSet& sources, Span span, std::string_view code, std::string message, bool is_error = true);

/// Calls `work` on each assertion statement below `statement`.
void for_each_assertion(ast::Stmt& statement, const std::function<void(ast::Stmt&)>& work);

}  // namespace callie::assertions
