#pragma once

#include <vector>

#include "assertions/syntax/ast.h"
#include "assertions/syntax/parser.h"
#include "assertions/syntax/token.h"

namespace callie::assertions {

/// Recursive descent over the tokens of one file. Each parse_x stands on the first token of x and leaves the position
/// behind it; mistakes are thrown as SourceError.
class Parser {
 public:
  explicit Parser(const std::vector<Token>& tokens) : tokens_(tokens) {}

  void parse_unit(ast::Unit& unit);
  std::vector<ast::Item> parse_items_to_end();
  std::vector<Piece> parse_pieces_to_end();
  std::vector<ast::Stmt> parse_statements_to_end();
  ast::Expr parse_expression_to_end();
  ast::Prop parse_property_to_end();
  /// The next always block at or behind the position, whatever stands around it; false at the end. A block that does
  /// not parse gives an item of kind kOther whose name is the message.
  bool next_always(ast::Item& out);

 private:
  static constexpr int kMaxNesting = 500;
  static constexpr int kMaxChain = 2000;

  struct Nest {
    explicit Nest(Parser& parser);
    ~Nest() { --parser.depth_; }
    Parser& parser;
  };

  // Tokens.
  const Token& peek(size_t ahead = 0) const {
    const size_t at = position_ + ahead;
    return at < tokens_.size() ? tokens_[at] : tokens_.back();
  }
  const Token& advance();
  bool at(std::string_view text) const { return is(peek(), text); }
  bool at(std::string_view a, std::string_view b) const { return is(peek(), a) && is(peek(1), b); }
  static bool is(const Token& token, std::string_view text) {
    return (token.kind == TokenKind::kOp || token.kind == TokenKind::kKeyword) && token.text == text;
  }
  bool is_name(size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::kName || peek(ahead).kind == TokenKind::kEscapedName;
  }
  bool accept(std::string_view text);
  const Token& expect(std::string_view text, std::string_view where);
  std::string expect_name(std::string_view what, Span* span = nullptr);
  [[noreturn]] void fail(Span span, std::string message) const;
  [[noreturn]] void fail_here(std::string_view wanted) const;
  Span since(size_t begin_token) const;
  size_t skip_brackets(size_t ahead) const;
  void skip_attributes();
  void skip_to(std::string_view end_keyword);
  void end_label(const std::string& name);

  // Recovery (parser_recovery.cpp).
  bool at_piece_begin() const;
  void parse_piece(Piece& piece);
  void recover(size_t begin);

  // Expressions (parser_expression.cpp).
  ast::Expr parse_expression();
  ast::Expr parse_ternary();
  ast::Expr parse_binary(int min_level);
  ast::Expr parse_unary();
  ast::Expr parse_postfix(ast::Expr base);
  ast::Expr parse_primary();
  ast::Expr parse_primary_base();
  ast::Expr parse_concat();
  ast::Expr parse_pattern();
  ast::Expr parse_number();
  ast::Expr parse_argument();
  void parse_call_arguments(ast::Expr& call);
  ast::Expr parse_lvalue();
  ast::Expr parse_range_or_expression();
  bool at_type_keyword(size_t ahead = 0) const;

  // Types and declarations (parser_type.cpp).
  ast::DataType parse_type(bool allow_implicit);
  std::vector<ast::Dimension> parse_dimensions();
  ast::DataType parse_enum();
  ast::DataType parse_struct();
  ast::Declarator parse_declarator(bool with_init);
  bool at_declaration() const;
  ast::Item parse_declaration();
  ast::Item parse_parameter();
  void parse_parameter_names(std::vector<ast::Item>& out, bool in_header);
  ast::Item parse_typedef();
  std::vector<ast::Formal> parse_formals(bool of_property);

  // Statements (parser_statement.cpp).
  ast::Stmt parse_statement();
  ast::Stmt parse_statement_inner();
  ast::Stmt parse_block();
  ast::Stmt parse_if();
  ast::Stmt parse_case();
  ast::Stmt parse_for();
  ast::Stmt parse_loop();
  ast::Stmt parse_assignment_or_call(bool with_semicolon);
  ast::EventControl parse_event_control();
  ast::EventTerm parse_event_term();
  void parse_event_terms(ast::EventControl& out);
  void skip_delay();
  ast::Assertion parse_assertion();
  bool at_assertion() const;

  // Properties (parser_property.cpp).
  ast::Prop parse_property();
  ast::Prop parse_until_level();
  ast::Prop parse_iff_level();
  ast::Prop parse_or_level();
  ast::Prop parse_and_level();
  ast::Prop parse_property_unary();
  bool at_property_prefix() const;
  ast::Prop parse_property_prefix();
  ast::Prop parse_property_case();
  ast::Prop parse_intersect_level();
  ast::Prop parse_within_level();
  ast::Prop parse_throughout_level();
  ast::Prop parse_delay_level();
  ast::Prop parse_repeat_level();
  ast::Prop parse_sequence_primary();
  void parse_delay_range(ast::Prop& out);
  void parse_bracket_range(ast::Prop& out);
  ast::Prop binary_property(ast::PropKind kind, Span op, ast::Prop left, ast::Prop right) const;

  // Modules and items (parser_module.cpp).
  ast::Module parse_module();
  void parse_ports(ast::Module& module);
  void parse_item(std::vector<ast::Item>& out);
  void parse_items_until(std::vector<ast::Item>& out, std::string_view end);
  ast::Item parse_always();
  ast::Item parse_instance();
  ast::Item parse_bind();
  bool at_gate() const;
  ast::Item parse_gates();
  void parse_connections(std::vector<ast::Connection>& out);
  ast::Item parse_generate_for();
  ast::Item parse_generate_if();
  ast::Item parse_generate_case();
  ast::Item parse_generate_block();
  bool at_name_begin() const;
  ast::Item parse_function();
  ast::Item parse_property_declaration();
  ast::Item parse_clocking(bool is_default);
  ast::Item parse_default();
  ast::Item parse_import();
  ast::Item parse_assertion_item();
  ast::Item parse_other(std::string_view keyword, std::string_view end);

  const std::vector<Token>& tokens_;
  size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace callie::assertions
