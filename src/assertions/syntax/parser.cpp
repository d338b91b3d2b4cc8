#include "assertions/syntax/parser.h"

#include "assertions/syntax/parser_impl.h"

namespace callie::assertions {
namespace {

Status to_status(const SourceSet& sources, const SourceError& problem) {
  return sources.error_at(problem.span, problem.message, problem.code);
}

template <typename Result, typename Work>
StatusOr<Result> parse_fragment(SourceSet& sources, std::string name, std::string text, Work work,
                                SourceError* problem_out = nullptr) {
  const uint32_t file = sources.add(std::move(name), std::move(text));
  try {
    Preprocessor preprocessor(sources, {});
    const std::vector<Token> tokens = preprocessor.run(file);
    Parser parser(tokens);
    return work(parser);
  } catch (const SourceError& problem) {
    if (problem_out) *problem_out = problem;
    return to_status(sources, problem);
  }
}

}  // namespace

StatusOr<ast::Unit> parse_files(SourceSet& sources, const std::vector<std::string>& paths,
                                const PreprocessOptions& options) {
  ast::Unit unit;
  Preprocessor preprocessor(sources, options);
  for (const std::string& path : paths) {
    CALLIE_ASSIGN_OR_RETURN(const uint32_t file, sources.add_file(path));
    try {
      const std::vector<Token> tokens = preprocessor.run(file);
      Parser(tokens).parse_unit(unit);
    } catch (const SourceError& problem) {
      return to_status(sources, problem);
    }
  }
  return unit;
}

StatusOr<ast::Unit> parse_text(SourceSet& sources, std::string name, std::string text,
                               const PreprocessOptions& options, SourceError* problem_out) {
  const uint32_t file = sources.add(std::move(name), std::move(text));
  ast::Unit unit;
  try {
    Preprocessor preprocessor(sources, options);
    const std::vector<Token> tokens = preprocessor.run(file);
    Parser(tokens).parse_unit(unit);
  } catch (const SourceError& problem) {
    if (problem_out) *problem_out = problem;
    return to_status(sources, problem);
  }
  return unit;
}

StatusOr<AlwaysBlocks> parse_always_blocks(SourceSet& sources, uint32_t file, PreprocessOptions options) {
  options.lenient = true;
  options.missing_includes_are_errors = false;
  AlwaysBlocks out;
  try {
    Preprocessor preprocessor(sources, std::move(options));
    const std::vector<Token> tokens = preprocessor.run(file);
    Parser parser(tokens);
    for (ast::Item item; parser.next_always(item);) {
      if (item.kind == ast::ItemKind::kAlways) out.blocks.push_back(std::move(item));
      else out.broken.push_back(sources.error_at(item.span, item.name));
    }
  } catch (const SourceError& problem) {
    return to_status(sources, problem);
  }
  return out;
}

StatusOr<std::vector<ast::Item>> parse_items(SourceSet& sources, std::string name, std::string text) {
  return parse_fragment<std::vector<ast::Item>>(sources, std::move(name), std::move(text),
                                                [](Parser& parser) { return parser.parse_items_to_end(); });
}

StatusOr<std::vector<ast::Stmt>> parse_statements(SourceSet& sources, std::string name, std::string text,
                                                  SourceError* problem) {
  return parse_fragment<std::vector<ast::Stmt>>(sources, std::move(name), std::move(text),
                                                [](Parser& parser) { return parser.parse_statements_to_end(); }, problem);
}

StatusOr<ast::Expr> parse_expression(SourceSet& sources, std::string name, std::string text) {
  return parse_fragment<ast::Expr>(sources, std::move(name), std::move(text),
                                   [](Parser& parser) { return parser.parse_expression_to_end(); });
}

StatusOr<ast::Prop> parse_property(SourceSet& sources, std::string name, std::string text) {
  return parse_fragment<ast::Prop>(sources, std::move(name), std::move(text),
                                   [](Parser& parser) { return parser.parse_property_to_end(); });
}

// The token helpers of the parser.

Parser::Nest::Nest(Parser& p) : parser(p) {
  if (++parser.depth_ > kMaxNesting) {
    --parser.depth_;
    parser.fail(parser.peek().span, fmt::format("nested deeper than {} levels", kMaxNesting));
  }
}

const Token& Parser::advance() {
  const Token& token = peek();
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool Parser::accept(std::string_view text) {
  if (!at(text)) return false;
  advance();
  return true;
}

void Parser::fail(Span span, std::string message) const { throw SourceError{span, std::move(message)}; }

void Parser::fail_here(std::string_view wanted) const {
  const Token& token = peek();
  const std::string found = token.kind == TokenKind::kEnd ? "the end of the file"
                                                          : fmt::format("'{}'", token.text.substr(0, 40));
  fail(token.span, fmt::format("expected {} before {}", wanted, found));
}

const Token& Parser::expect(std::string_view text, std::string_view where) {
  if (!at(text)) {
    // A missing ';' or ')' is best shown right behind the last token that was fine.
    if (position_ > 0 && (text == ";" || text == ")")) {
      Span span = tokens_[position_ - 1].span;
      if (span.file == peek().span.file) {
        span.begin = span.end;
        const Token& token = peek();
        fail(span, fmt::format("expected '{}' {} before {}", text, where,
                               token.kind == TokenKind::kEnd ? "the end of the file"
                                                             : fmt::format("'{}'", token.text.substr(0, 40))));
      }
    }
    fail_here(fmt::format("'{}' {}", text, where));
  }
  return advance();
}

std::string Parser::expect_name(std::string_view what, Span* span) {
  if (!is_name()) fail_here(what);
  const Token& token = advance();
  if (span) *span = token.span;
  return std::string(token.text);
}

Span Parser::since(size_t begin_token) const {
  const Span first = tokens_[begin_token].span;
  const Span last = position_ > begin_token ? tokens_[position_ - 1].span : first;
  if (last.file != first.file || last.end < first.begin) return first;
  return {first.file, first.begin, last.end};
}

// The number of tokens from `ahead` to behind the bracket that closes the one at `ahead`.
size_t Parser::skip_brackets(size_t ahead) const {
  int depth = 0;
  for (size_t i = ahead; position_ + i < tokens_.size(); ++i) {
    const Token& token = peek(i);
    if (token.kind == TokenKind::kEnd) return i;
    if (is(token, "(") || is(token, "[") || is(token, "{") || is(token, "'{")) ++depth;
    if (is(token, ")") || is(token, "]") || is(token, "}")) --depth;
    if (depth <= 0) return i + 1;
  }
  return ahead;
}

void Parser::skip_attributes() {
  while (at("(", "*") && !is(peek(2), ")") && peek(1).span.begin == peek().span.begin + 1) {
    const Span begin = peek().span;
    while (!at("*", ")")) {
      if (peek().kind == TokenKind::kEnd) fail(begin, "attribute without an end");
      advance();
    }
    advance();
    advance();
  }
}

void Parser::skip_to(std::string_view end_keyword) {
  const Span begin = peek().span;
  while (!at(end_keyword)) {
    if (peek().kind == TokenKind::kEnd) fail(begin, fmt::format("no '{}' for this", end_keyword));
    advance();
  }
  advance();
}

void Parser::end_label(const std::string& name) {
  if (!accept(":")) return;
  if (at("new")) {
    advance();
    return;
  }
  Span span;
  const std::string label = expect_name("a label", &span);
  if (!name.empty() && label != name) fail(span, fmt::format("label '{}' where '{}' ends", label, name));
}

std::vector<ast::Item> Parser::parse_items_to_end() {
  std::vector<ast::Item> out;
  while (peek().kind != TokenKind::kEnd) parse_item(out);
  return out;
}

std::vector<ast::Stmt> Parser::parse_statements_to_end() {
  std::vector<ast::Stmt> out;
  while (peek().kind != TokenKind::kEnd) out.push_back(parse_statement());
  return out;
}

ast::Expr Parser::parse_expression_to_end() {
  ast::Expr out = parse_expression();
  if (peek().kind != TokenKind::kEnd) fail_here("the end of the expression");
  return out;
}

ast::Prop Parser::parse_property_to_end() {
  ast::Prop out = parse_property();
  if (peek().kind != TokenKind::kEnd) fail_here("the end of the property");
  return out;
}

}  // namespace callie::assertions
