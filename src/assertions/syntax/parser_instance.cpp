#include <algorithm>
#include <array>

#include "assertions/syntax/parser_impl.h"

/// Instances and generate constructs.
namespace callie::assertions {

using ast::Item;
using ast::ItemKind;

namespace {

struct Gate {
  std::string_view name;
  ast::Op op;      ///< kNone: buf and not
  bool inverted;
};
constexpr std::array<Gate, 8> kGates{{{"and", ast::Op::kBitAnd, false}, {"nand", ast::Op::kBitAnd, true},
                                      {"or", ast::Op::kBitOr, false}, {"nor", ast::Op::kBitOr, true},
                                      {"xor", ast::Op::kBitXor, false}, {"xnor", ast::Op::kBitXor, true},
                                      {"buf", ast::Op::kNone, false}, {"not", ast::Op::kNone, true}}};

const Gate* gate_of(const Token& token) {
  const auto it = std::find_if(kGates.begin(), kGates.end(), [&](const Gate& gate) { return gate.name == token.text; });
  return token.kind == TokenKind::kKeyword && it != kGates.end() ? &*it : nullptr;
}

}  // namespace

void Parser::parse_connections(std::vector<ast::Connection>& out) {
  expect("(", "of the connections");
  if (accept(")")) return;
  do {
    skip_attributes();
    const size_t begin = position_;
    ast::Connection connection;
    if (at(".", "*")) {
      advance();
      advance();
      connection.name.assign(1, '*');  // g++ 12 warns about an assigned literal
    } else if (accept(".")) {
      connection.name = expect_name("a port's name");
      if (accept("(")) {
        if (!at(")")) {
          if (at_type_keyword()) {
            ast::DataType type = parse_type(false);
            if (at("'")) fail(peek().span, "casts of a type with dimensions are not part of the subset");
            connection.type = std::move(type);
          } else {
            connection.expr = parse_expression();
          }
        }
        expect(")", "after the connection");
      } else {
        ast::Expr same = ast::make_name(connection.name);
        same.span = tokens_[position_ - 1].span;
        connection.expr = std::move(same);
      }
    } else if (at_type_keyword()) {
      connection.type = parse_type(false);
    } else if (!at(",") && !at(")")) {
      connection.expr = parse_expression();
    }
    connection.span = since(begin);
    out.push_back(std::move(connection));
  } while (accept(","));
  expect(")", "after the connections");
}

Item Parser::parse_instance() {
  Item out;
  out.kind = ItemKind::kInstance;
  out.name = expect_name("a module", &out.name_span);
  if (accept("#")) {
    if (at("(")) {
      parse_connections(out.parameters);
    } else {
      ast::Connection connection;
      connection.expr = parse_primary();
      out.parameters.push_back(std::move(connection));
    }
  }
  do {
    out.names.push_back(parse_declarator(false));
    out.ports.emplace_back();
    parse_connections(out.ports.back());
  } while (accept(","));
  expect(";", "after the instance");
  return out;
}

// bind MODULE instance; a bind to single instances is a construct outside of the subset.
Item Parser::parse_bind() {
  if (!is_name(1) || !is_name(2)) return parse_other("bind", ";");
  Item out;
  out.kind = ItemKind::kBind;
  advance();
  out.name = expect_name("a module", &out.name_span);
  out.items.push_back(parse_instance());
  return out;
}

bool Parser::at_gate() const { return gate_of(peek()) != nullptr; }

// and NAME (output, inputs...), ...; as continuous assignments. buf and not have several outputs, the input comes last.
Item Parser::parse_gates() {
  Item out;
  out.kind = ItemKind::kAssign;
  const Gate& gate = *gate_of(advance());
  if (at("#")) skip_delay();
  do {
    if (is_name()) advance();
    if (at("[")) fail(peek().span, "arrays of gates are not part of the subset");
    const size_t begin = position_;
    expect("(", "of the gate");
    std::vector<ast::Expr> pins;
    do pins.push_back(parse_expression());
    while (accept(","));
    expect(")", "after the gate's pins");
    if (pins.size() < 2) fail(since(begin), "a gate has an output and inputs");
    const bool single = gate.op == ast::Op::kNone;
    ast::Expr value = single ? pins.back() : pins[1];
    for (size_t i = 2; i < pins.size() && !single; ++i) value = ast::make_binary(gate.op, std::move(value), std::move(pins[i]));
    if (gate.inverted) value = ast::make_unary(ast::Op::kBitNot, std::move(value));
    value.span = since(begin);
    for (size_t i = 0; i < (single ? pins.size() - 1 : 1); ++i) out.assigns.emplace_back(std::move(pins[i]), value);
  } while (accept(","));
  expect(";", "after the gate");
  return out;
}

Item Parser::parse_generate_block() {
  Item out;
  out.kind = ItemKind::kGenerateBlock;
  const size_t begin = position_;
  if (at("begin")) {
    const Span open = advance().span;
    if (accept(":")) out.name = expect_name("a block's label");
    while (!at("end")) {
      if (peek().kind == TokenKind::kEnd || at("endmodule")) fail(open, "'begin' without 'end'");
      parse_item(out.items);
    }
    advance();
    end_label(out.name);
  } else if (is_name() && at_name_begin()) {
    std::string label(advance().text);
    advance();
    out = parse_generate_block();
    out.name = std::move(label);
    return out;
  } else {
    parse_item(out.items);
  }
  out.span = since(begin);
  return out;
}

Item Parser::parse_generate_for() {
  Item out;
  out.kind = ItemKind::kGenerateFor;
  expect("for", "");
  expect("(", "after 'for'");
  if (at("genvar") || at("int") || at("integer")) advance();
  out.init = parse_assignment_or_call(false);
  expect(";", "after the start of the loop");
  out.expr = parse_expression();
  expect(";", "after the condition of the loop");
  out.step = parse_assignment_or_call(false);
  expect(")", "of the loop");
  out.items.push_back(parse_generate_block());
  return out;
}

Item Parser::parse_generate_if() {
  Item out;
  out.kind = ItemKind::kGenerateIf;
  expect("if", "");
  expect("(", "after 'if'");
  out.expr = parse_expression();
  expect(")", "after the condition");
  out.items.push_back(parse_generate_block());
  if (accept("else")) {
    Nest nest(*this);
    out.items.push_back(parse_generate_block());
  }
  return out;
}

Item Parser::parse_generate_case() {
  Item out;
  out.kind = ItemKind::kGenerateCase;
  const Span begin = advance().span;
  expect("(", "after 'case'");
  out.expr = parse_expression();
  expect(")", "after the selector");
  while (!at("endcase")) {
    if (peek().kind == TokenKind::kEnd) fail(begin, "'case' without 'endcase'");
    std::vector<ast::Expr> labels;
    if (accept("default")) {
      accept(":");
    } else {
      do labels.push_back(parse_expression());
      while (accept(","));
      expect(":", "after the case label");
    }
    out.labels.push_back(std::move(labels));
    out.items.push_back(parse_generate_block());
  }
  advance();
  return out;
}

}  // namespace callie::assertions
