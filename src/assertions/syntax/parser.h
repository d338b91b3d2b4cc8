#pragma once

#include <string>
#include <vector>

#include "assertions/syntax/ast.h"
#include "assertions/syntax/preprocessor.h"

namespace callie::assertions {

/// The parser of the SystemVerilog subset: modules, packages, processes, functions, generate constructs, and the
/// whole property language (what the prover does not support is still parsed, so that it can be named).
/// All functions: errors are one message "FILE:LINE:COL: ..." with the source line and a caret; nesting deeper than
/// 500 and texts above 8 M tokens are refused.

StatusOr<ast::Unit> parse_files(SourceSet& sources, const std::vector<std::string>& paths,
                                const PreprocessOptions& options = {});
StatusOr<ast::Unit> parse_text(SourceSet& sources, std::string name, std::string text,
                               const PreprocessOptions& options = {});
/// What may stand inside a module: assertions, properties, always blocks, declarations.
StatusOr<std::vector<ast::Item>> parse_items(SourceSet& sources, std::string name, std::string text);
/// What may stand inside begin/end.
StatusOr<std::vector<ast::Stmt>> parse_statements(SourceSet& sources, std::string name, std::string text);
StatusOr<ast::Expr> parse_expression(SourceSet& sources, std::string name, std::string text);
/// The text between the parentheses of `assert property (...)`.
StatusOr<ast::Prop> parse_property(SourceSet& sources, std::string name, std::string text);

}  // namespace callie::assertions
