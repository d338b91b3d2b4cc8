#include <algorithm>
#include <array>

#include "assertions/syntax/parser_impl.h"

namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Op;

namespace {

struct BinaryOp {
  std::string_view text;
  Op op;
  int level;
};
constexpr std::array<BinaryOp, 28> kBinaryOps{{
    {"||", Op::kLogicOr, 2}, {"&&", Op::kLogicAnd, 3}, {"|", Op::kBitOr, 4},     {"^", Op::kBitXor, 5},
    {"~^", Op::kBitXnor, 5}, {"^~", Op::kBitXnor, 5},  {"&", Op::kBitAnd, 6},    {"==", Op::kEq, 7},
    {"!=", Op::kNe, 7},      {"===", Op::kCaseEq, 7},  {"!==", Op::kCaseNe, 7},  {"==?", Op::kWildEq, 7},
    {"!=?", Op::kWildNe, 7}, {"<", Op::kLt, 8},        {"<=", Op::kLe, 8},       {">", Op::kGt, 8},
    {">=", Op::kGe, 8},      {"<<", Op::kShl, 9},      {">>", Op::kShr, 9},      {"<<<", Op::kAshl, 9},
    {">>>", Op::kAshr, 9},   {"+", Op::kAdd, 10},      {"-", Op::kSub, 10},      {"*", Op::kMul, 11},
    {"/", Op::kDiv, 11},     {"%", Op::kMod, 11},      {"**", Op::kPower, 12},   {"inside", Op::kNone, 8},
}};

const BinaryOp* binary_op(const Token& token) {
  if (token.kind != TokenKind::kOp && token.kind != TokenKind::kKeyword) return nullptr;
  const auto it = std::find_if(kBinaryOps.begin(), kBinaryOps.end(),
                               [&](const BinaryOp& op) { return op.text == token.text; });
  return it == kBinaryOps.end() ? nullptr : &*it;
}

constexpr std::array<std::pair<std::string_view, Op>, 11> kUnaryOps{{
    {"+", Op::kPlus}, {"-", Op::kMinus}, {"!", Op::kNot}, {"~", Op::kBitNot}, {"&", Op::kAnd}, {"~&", Op::kNand},
    {"|", Op::kOr}, {"~|", Op::kNor}, {"^", Op::kXor}, {"~^", Op::kXnor}, {"^~", Op::kXnor}}};

}  // namespace

Expr Parser::parse_expression() {
  Nest nest(*this);
  const size_t begin = position_;
  Expr left = parse_ternary();
  if (at("->") || at("<->")) {
    const Op op = at("->") ? Op::kImplies : Op::kEquiv;
    advance();
    left = ast::make_binary(op, std::move(left), parse_expression());
    left.span = since(begin);
  }
  return left;
}

Expr Parser::parse_ternary() {
  const size_t begin = position_;
  Expr condition = parse_binary(2);
  if (!at("?")) return condition;
  Nest nest(*this);
  advance();
  skip_attributes();
  Expr out;
  out.kind = ExprKind::kTernary;
  out.args.push_back(std::move(condition));
  out.args.push_back(parse_expression());
  expect(":", "of '?:'");
  out.args.push_back(parse_expression());
  out.span = since(begin);
  return out;
}

Expr Parser::parse_binary(int min_level) {
  const size_t begin = position_;
  Expr left = parse_unary();
  for (int chain = 0;; ++chain) {
    const BinaryOp* op = binary_op(peek());
    if (!op || op->level < min_level) return left;
    if (chain > kMaxChain) fail(peek().span, fmt::format("more than {} operators in a row", kMaxChain));
    advance();
    skip_attributes();
    if (op->text == "inside") {
      Expr out;
      out.kind = ExprKind::kInside;
      out.args.push_back(std::move(left));
      expect("{", "after 'inside'");
      do out.args.push_back(parse_range_or_expression());
      while (accept(","));
      expect("}", "after the set of 'inside'");
      left = std::move(out);
    } else {
      Nest nest(*this);
      left = ast::make_binary(op->op, std::move(left), parse_binary(op->level + 1));
    }
    left.span = since(begin);
  }
}

Expr Parser::parse_range_or_expression() {
  if (!at("[")) return parse_expression();
  const size_t begin = position_;
  advance();
  Expr out;
  out.kind = ExprKind::kValueRange;
  for (int side = 0; side < 2; ++side) {
    if (at("$")) {
      Expr dollar;
      dollar.kind = ExprKind::kDollar;
      dollar.span = advance().span;
      out.args.push_back(std::move(dollar));
    } else {
      out.args.push_back(parse_expression());
    }
    expect(side == 0 ? ":" : "]", "of the value range");
  }
  out.span = since(begin);
  return out;
}

Expr Parser::parse_unary() {
  const size_t begin = position_;
  if (peek().kind == TokenKind::kOp) {
    for (const auto& [text, op] : kUnaryOps) {
      if (peek().text != text) continue;
      Nest nest(*this);
      advance();
      skip_attributes();
      Expr out = ast::make_unary(op, parse_unary());
      out.span = since(begin);
      return out;
    }
  }
  return parse_primary();
}

Expr Parser::parse_primary() { return parse_postfix(parse_primary_base()); }

Expr Parser::parse_postfix(Expr base) {
  const size_t begin = position_ > 0 ? position_ - 1 : 0;
  const Span first = base.span;
  const auto whole = [&] {
    const Span last = since(begin);
    return last.file == first.file && last.end >= first.begin ? Span{first.file, first.begin, last.end} : first;
  };
  for (int chain = 0;; ++chain) {
    if (chain > kMaxNesting) fail(peek().span, fmt::format("more than {} selects in a row", kMaxNesting));
    if (at("[")) {
      if (is(peek(1), "*") || is(peek(1), "->") || is(peek(1), "=")) return base;  // a repetition
      if (is(peek(1), "+") && is(peek(2), "]")) return base;
      advance();
      Expr out;
      out.args.push_back(std::move(base));
      out.args.push_back(parse_expression());
      out.kind = ExprKind::kIndex;
      if (at(":") || at("+:") || at("-:")) {
        const std::string_view op = advance().text;
        out.kind = op == ":" ? ExprKind::kRange : op == "+:" ? ExprKind::kRangeUp : ExprKind::kRangeDown;
        out.args.push_back(parse_expression());
      }
      expect("]", "after the index");
      out.span = whole();
      base = std::move(out);
    } else if (at(".") && (is_name(1) || peek(1).kind == TokenKind::kKeyword)) {
      advance();
      Expr out;
      out.kind = ExprKind::kMember;
      out.name = std::string(advance().text);
      out.args.push_back(std::move(base));
      if (at("(")) {
        out.kind = ExprKind::kCall;
        out.name.insert(0, ".");
        parse_call_arguments(out);
      }
      out.span = whole();
      base = std::move(out);
    } else if ((at("'") && is(peek(1), "(")) || (at("'{") && (base.kind == ExprKind::kName || base.kind == ExprKind::kType))) {
      Expr out;
      out.kind = ExprKind::kCast;
      if (at("'{")) {
        out.args.push_back(parse_pattern());
      } else {
        advance();
        advance();
        out.args.push_back(parse_expression());
        expect(")", "after the cast");
      }
      if (base.kind == ExprKind::kType) out.type = std::move(base.type);
      else out.args.push_back(std::move(base));
      out.span = whole();
      base = std::move(out);
    } else {
      return base;
    }
  }
}

bool Parser::at_type_keyword(size_t ahead) const {
  static constexpr std::array<std::string_view, 17> kTypes{
      "logic", "reg", "bit", "byte", "shortint", "int", "longint", "integer", "time", "enum", "struct", "union",
      "string", "real", "realtime", "shortreal", "event"};
  const Token& token = peek(ahead);
  return token.kind == TokenKind::kKeyword && std::find(kTypes.begin(), kTypes.end(), token.text) != kTypes.end();
}

Expr Parser::parse_primary_base() {
  const size_t begin = position_;
  const Token& token = peek();
  Expr out;
  switch (token.kind) {
    case TokenKind::kNumber:
      return parse_number();
    case TokenKind::kString:
      advance();
      out.kind = ExprKind::kString;
      out.name = std::string(token.text);
      out.span = token.span;
      return out;
    case TokenKind::kSystem:
      advance();
      out.kind = ExprKind::kCall;
      out.name = std::string(token.text);
      if (at("(")) parse_call_arguments(out);
      out.span = since(begin);
      return out;
    case TokenKind::kName:
    case TokenKind::kEscapedName: {
      out.kind = ExprKind::kName;
      out.name = std::string(advance().text);
      if (at("#", "(")) fail(peek().span, "parameterized class scopes are not part of the subset");
      while (at("::")) {
        advance();
        out.name += "::" + expect_name("a name after '::'");
      }
      if (at("(")) {
        out.kind = ExprKind::kCall;
        parse_call_arguments(out);
      }
      out.span = since(begin);
      return out;
    }
    default:
      break;
  }
  if (at("(")) {
    Nest nest(*this);
    advance();
    out = parse_expression();
    if (at(":")) fail(peek().span, "min:typ:max expressions are not part of the subset");
    expect(")", "after the expression");
    out.span = since(begin);
    return out;
  }
  if (at("{")) return parse_concat();
  if (at("'{")) return parse_pattern();
  if (at("$")) {
    advance();
    out.kind = ExprKind::kDollar;
    out.span = since(begin);
    return out;
  }
  if (at("signed") || at("unsigned") || at("const")) {
    const std::string name(advance().text);
    if (!at("'", "(")) fail_here("a cast");
    advance();
    advance();
    out.kind = ExprKind::kCast;
    out.name = name;
    out.args.push_back(parse_expression());
    expect(")", "after the cast");
    out.span = since(begin);
    return out;
  }
  if (at("void") && is(peek(1), "'")) {
    advance();
    advance();
    expect("(", "after void'");
    out = parse_expression();
    expect(")", "after the cast");
    return out;
  }
  if (at("type") && is(peek(1), "(")) fail(token.span, "the type() operator is not part of the subset");
  if (at_type_keyword()) {
    out.kind = ExprKind::kType;
    out.type = parse_type(false);
    out.span = since(begin);
    if (!at("'") && !at(")") && !at(",") && !at("{") && !at("'{")) fail_here("a cast");
    return out;
  }
  if (at("++") || at("--")) fail(token.span, "'++' and '--' inside expressions are not part of the subset");
  fail_here("an expression");
}

Expr Parser::parse_concat() {
  Nest nest(*this);
  const size_t begin = position_;
  expect("{", "of the concatenation");
  Expr out;
  if (at("<<") || at(">>")) {
    out.kind = ExprKind::kStream;
    out.op = advance().text == "<<" ? Op::kShl : Op::kShr;
    Expr slice;
    slice.kind = ExprKind::kEmpty;
    out.args.push_back(at("{") ? std::move(slice) : parse_primary());
    out.args.push_back(parse_concat());
    if (out.args[1].kind != ExprKind::kConcat) fail(out.args[1].span, "a plain concatenation expected in a stream");
    if (at("with")) fail(peek().span, "'with' in a stream is not part of the subset");
    expect("}", "after the stream");
    out.span = since(begin);
    return out;
  }
  out.kind = ExprKind::kConcat;
  if (at("}")) fail(peek().span, "empty concatenation");
  out.args.push_back(parse_expression());
  if (at("{")) {
    Expr inner = parse_concat();
    out.kind = ExprKind::kReplicate;
    if (inner.kind != ExprKind::kConcat) {
      Expr wrapped;
      wrapped.kind = ExprKind::kConcat;
      wrapped.span = inner.span;
      wrapped.args.push_back(std::move(inner));
      inner = std::move(wrapped);
    }
    out.args.push_back(std::move(inner));
  } else {
    while (accept(",")) out.args.push_back(parse_expression());
  }
  expect("}", "after the concatenation");
  out.span = since(begin);
  return out;
}

Expr Parser::parse_pattern() {
  Nest nest(*this);
  const size_t begin = position_;
  expect("'{", "of the pattern");
  Expr out;
  out.kind = ExprKind::kPattern;
  bool keyed = false;
  do {
    if (at("default")) {
      advance();
      out.keys.push_back("default");
      keyed = true;
      expect(":", "after default");
      out.args.push_back(parse_expression());
    } else if ((is_name() || at_type_keyword()) && is(peek(1), ":")) {
      out.keys.emplace_back(advance().text);
      keyed = true;
      advance();
      out.args.push_back(parse_expression());
    } else {
      Expr value = parse_expression();
      if (at("{")) {
        const Expr inner = parse_concat();
        if (value.kind != ExprKind::kNumber || value.number->value.size() != 1 || value.number->value[0] > 65536) {
          fail(value.span, "the count of a repeated pattern must be a number up to 65536");
        }
        const uint64_t count = value.number->value[0];
        for (uint64_t i = 0; i < count; ++i) {
          for (const Expr& arg : inner.args) out.args.push_back(arg);
          if (out.args.size() > 65536) fail(value.span, "pattern with more than 65536 values");
        }
        if (inner.kind != ExprKind::kConcat) fail(inner.span, "replication inside a repeated pattern");
        continue;
      }
      if (accept(":")) {
        if (value.kind != ExprKind::kNumber) fail(value.span, "pattern keys are names, numbers or default");
        out.keys.push_back(std::to_string(value.number->value[0]));
        keyed = true;
        out.args.push_back(parse_expression());
      } else {
        out.args.push_back(std::move(value));
      }
    }
  } while (accept(","));
  if (keyed && out.keys.size() != out.args.size()) fail(peek().span, "pattern mixes keys and positions");
  expect("}", "after the pattern");
  out.span = since(begin);
  return out;
}

Expr Parser::parse_argument() {
  const size_t begin = position_;
  Expr out;
  if (at(",") || at(")")) {
    out.kind = ExprKind::kEmpty;
    out.span = peek().span;
    return out;
  }
  if (at("@")) {
    ast::EventControl event = parse_event_control();
    if (event.star || event.terms.size() != 1) fail(event.span, "one clock edge expected");
    out.kind = ExprKind::kEvent;
    const ast::Edge edge = event.terms[0].edge;
    out.name = edge == ast::Edge::kPos ? "posedge" : edge == ast::Edge::kNeg ? "negedge" : "";
    out.args.push_back(std::move(event.terms[0].expr));
    out.span = since(begin);
    return out;
  }
  return parse_expression();
}

void Parser::parse_call_arguments(Expr& call) {
  Nest nest(*this);
  expect("(", "of the arguments");
  if (accept(")")) return;
  do {
    if (at(".") && is_name(1)) {
      advance();
      call.keys.emplace_back(advance().text);
      expect("(", "of the named argument");
      call.args.push_back(parse_argument());
      expect(")", "after the named argument");
    } else {
      if (!call.keys.empty()) fail(peek().span, "positional argument after a named one");
      call.args.push_back(parse_argument());
    }
  } while (accept(","));
  expect(")", "after the arguments");
}

Expr Parser::parse_lvalue() {
  const size_t begin = position_;
  if (at("{")) {
    Nest nest(*this);
    Expr out;
    out.kind = ExprKind::kConcat;
    advance();
    do out.args.push_back(parse_lvalue());
    while (accept(","));
    expect("}", "after the targets");
    out.span = since(begin);
    return out;
  }
  if (!is_name() && peek().kind != TokenKind::kSystem) fail_here("a statement");
  return parse_postfix(parse_primary_base());
}

}  // namespace callie::assertions
