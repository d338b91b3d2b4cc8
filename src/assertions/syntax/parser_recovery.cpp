#include <algorithm>

#include "assertions/syntax/parser_impl.h"

/// Parsing of texts that may be wrong anywhere, such as a model's answers.
namespace callie::assertions {
namespace {

constexpr int kMaxBlanked = 64;
constexpr size_t kMaxPieces = 100000;

}  // namespace

// Where a new assertion, declaration or process clearly begins.
bool Parser::at_piece_begin() const {
  const Token& before = position_ > 0 ? tokens_[position_ - 1] : tokens_[0];
  const bool after_label = position_ > 1 && is(before, ":") && tokens_[position_ - 2].kind == TokenKind::kName;
  if (is_name() && is(peek(1), ":") && (is(peek(2), "assert") || is(peek(2), "assume") || is(peek(2), "cover"))) return true;
  if (at("assert") || at("assume") || at("cover")) return !after_label;
  if (at("property") || at("sequence")) {
    return position_ == 0 || !(is(before, "assert") || is(before, "assume") || is(before, "cover") || is(before, "restrict"));
  }
  return at("always_comb") || at("always_ff") || at("always") || at("initial") || at("module") || at("endmodule") ||
         at("default", "clocking") || at("default", "disable");
}

void Parser::parse_piece(Piece& piece) {
  if (at("module")) {
    ast::Module module = parse_module();
    piece.items = std::move(module.items);
    return;
  }
  static constexpr std::string_view kStatements[] = {"if", "case", "casez", "casex", "begin", "unique", "unique0",
                                                     "priority", "for", "foreach"};
  const bool statement = std::any_of(std::begin(kStatements), std::end(kStatements), [&](auto word) { return at(word); });
  if (!statement) return parse_item(piece.items);
  ast::Item process;
  process.kind = ast::ItemKind::kAlways;
  process.always = ast::AlwaysKind::kComb;
  const size_t begin = position_;
  process.body.push_back(parse_statement());
  process.span = since(begin);
  piece.items.push_back(std::move(process));
}

// Moves behind the mistake in the piece that began at token `begin`.
void Parser::recover(size_t begin) {
  const bool in_property = is(tokens_[begin], "property") || is(tokens_[begin], "sequence");
  if (position_ == begin) advance();
  while (peek().kind != TokenKind::kEnd && !at_piece_begin()) {
    const Token& token = advance();
    if (is(token, "endproperty") || is(token, "endsequence")) {
      if (at(":") && is_name(1)) {
        advance();
        advance();
      }
      return;
    }
    if (!in_property && is(token, ";")) return;
  }
}

std::vector<Piece> Parser::parse_pieces_to_end() {
  std::vector<Piece> out;
  while (peek().kind != TokenKind::kEnd && out.size() < kMaxPieces) {
    if (accept("endmodule") || accept(";")) continue;  // an answer may begin in the middle of a module
    Piece piece;
    const size_t begin = position_;
    try {
      parse_piece(piece);
    } catch (const SourceError& problem) {
      piece.items.clear();
      piece.errors.push_back(problem);
      depth_ = 0;
      recover(begin);
    }
    piece.span = since(begin);
    out.push_back(std::move(piece));
  }
  return out;
}

std::vector<Piece> parse_pieces(SourceSet& sources, std::string name, std::string text) {
  std::vector<Piece> out;
  const auto blank = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < std::min(end, text.size()); ++i) {
      if (text[i] != '\n') text[i] = ' ';
    }
  };
  for (size_t at = text.find("`include"); at != std::string::npos; at = text.find("`include", at + 1)) {
    const size_t end = std::min(text.find('\n', at), text.size());
    Piece piece;
    piece.span = {static_cast<uint32_t>(sources.size()), static_cast<uint32_t>(at), static_cast<uint32_t>(end)};
    piece.errors.push_back({piece.span, "`include is not allowed here"});
    out.push_back(std::move(piece));
    blank(at, end);
  }
  for (int attempt = 0;; ++attempt) {
    const uint32_t file = sources.add(name, text);
    try {
      Preprocessor preprocessor(sources, {});
      const std::vector<Token> tokens = preprocessor.run(file);
      for (Piece& piece : Parser(tokens).parse_pieces_to_end()) out.push_back(std::move(piece));
    } catch (const SourceError& problem) {
      Piece piece;
      piece.span = problem.span;
      piece.span.end = std::max(piece.span.end, piece.span.begin + 1);
      piece.errors.push_back(problem);
      out.push_back(std::move(piece));
      const bool usable = problem.span.file == file && problem.span.begin < text.size();
      if (usable && attempt < kMaxBlanked) {
        blank(problem.span.begin, out.back().span.end);
        continue;
      }
    }
    break;
  }
  std::stable_sort(out.begin(), out.end(), [](const Piece& a, const Piece& b) { return a.span.begin < b.span.begin; });
  return out;
}

}  // namespace callie::assertions
