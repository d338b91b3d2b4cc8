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
/// `problem` receives the place and text of an error.
StatusOr<ast::Unit> parse_text(SourceSet& sources, std::string name, std::string text,
                               const PreprocessOptions& options = {}, SourceError* problem = nullptr);
/// Every always block of a text, each parsed on its own, so that what the subset lacks elsewhere does not matter.
struct AlwaysBlocks {
  std::vector<ast::Item> blocks;
  std::vector<Status> broken;   ///< one for each block that did not parse
};
/// Errors: a text that cannot be cut into tokens.
StatusOr<AlwaysBlocks> parse_always_blocks(SourceSet& sources, uint32_t file, PreprocessOptions options = {});
/// What may stand inside a module: assertions, properties, always blocks, declarations.
StatusOr<std::vector<ast::Item>> parse_items(SourceSet& sources, std::string name, std::string text);
/// What may stand inside begin/end.
/// One stretch of a text that was parsed with recovery: what it says, or what is wrong with it.
struct Piece {
  std::vector<ast::Item> items;
  std::vector<SourceError> errors;
  Span span;
};
/// As parse_items, but a mistake ends only its own piece: parsing goes on at the next assertion, property or process.
/// Whole modules give their items; an `if`, `case` or `begin` outside of a process becomes an always_comb process.
/// Characters that are none of the language, macros and includes are errors of their own pieces; nothing is read from
/// other files. Spans point into the file that is added last, whose text may have such places blanked.
std::vector<Piece> parse_pieces(SourceSet& sources, std::string name, std::string text);
StatusOr<std::vector<ast::Stmt>> parse_statements(SourceSet& sources, std::string name, std::string text,
                                                  SourceError* problem = nullptr);
StatusOr<ast::Expr> parse_expression(SourceSet& sources, std::string name, std::string text);
/// The text between the parentheses of `assert property (...)`.
StatusOr<ast::Prop> parse_property(SourceSet& sources, std::string name, std::string text);

}  // namespace callie::assertions
