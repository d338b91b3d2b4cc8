#include <algorithm>
#include <array>

#include "assertions/syntax/parser_impl.h"

namespace callie::assertions {

using ast::Stmt;
using ast::StmtKind;

Stmt Parser::parse_statement() {
  Nest nest(*this);
  const size_t begin = position_;
  skip_attributes();
  std::string label;
  if (is_name() && is(peek(1), ":") && !is(peek(2), ":")) {
    label = std::string(advance().text);
    advance();
  }
  Stmt out = parse_statement_inner();
  if (!label.empty()) out.label = std::move(label);
  out.span = since(begin);
  return out;
}

bool Parser::at_assertion() const {
  return at("assert") || at("assume") || at("cover") || at("restrict");
}

Stmt Parser::parse_statement_inner() {
  Stmt out;
  if (accept(";")) return out;
  if (at("begin")) return parse_block();
  if (at("if")) return parse_if();
  if (at("unique") || at("unique0") || at("priority")) {
    const std::string_view word = advance().text;
    out = at("if") ? parse_if() : parse_case();
    out.unique = word == "unique"    ? ast::Uniqueness::kUnique
                 : word == "unique0" ? ast::Uniqueness::kUnique0
                                     : ast::Uniqueness::kPriority;
    return out;
  }
  if (at("case") || at("casez") || at("casex")) return parse_case();
  if (at("for")) return parse_for();
  if (at("while") || at("do") || at("repeat") || at("forever") || at("foreach")) return parse_loop();
  if (at_assertion()) {
    out.kind = StmtKind::kAssert;
    out.assertion = parse_assertion();
    return out;
  }
  if (at("return")) {
    advance();
    out.kind = StmtKind::kReturn;
    if (!at(";")) out.expr = parse_expression();
    expect(";", "after return");
    return out;
  }
  if (at("break") || at("continue")) {
    out.kind = advance().text == "break" ? StmtKind::kBreak : StmtKind::kContinue;
    expect(";", "after the statement");
    return out;
  }
  if (at("@")) {
    out.kind = StmtKind::kTimed;
    out.event = parse_event_control();
    out.body.push_back(parse_statement());
    return out;
  }
  if (at("#")) {
    out.kind = StmtKind::kDelay;
    skip_delay();
    out.body.push_back(parse_statement());
    return out;
  }
  if (at("wait")) {
    out.kind = StmtKind::kWait;
    advance();
    if (accept("fork")) {
      expect(";", "after wait fork");
      return out;
    }
    expect("(", "after wait");
    out.expr = parse_expression();
    expect(")", "after wait");
    out.body.push_back(parse_statement());
    return out;
  }
  static constexpr std::array<std::string_view, 12> kOthers{"fork", "disable", "force", "release", "deassign",
                                                            "assign", "->", "->>", "expect", "randcase",
                                                            "randsequence", "wait_order"};
  for (std::string_view word : kOthers) {
    if (!at(word)) continue;
    out.kind = StmtKind::kOther;
    out.name = std::string(word);
    if (word == "fork") {
      advance();
      int depth = 1;
      while (depth > 0) {
        if (peek().kind == TokenKind::kEnd) fail_here("'join'");
        depth += at("fork");
        depth -= at("join") || at("join_any") || at("join_none");
        advance();
      }
    } else {
      while (!at(";")) {
        if (peek().kind == TokenKind::kEnd) fail_here("';'");
        advance();
      }
      advance();
    }
    return out;
  }
  if (at_declaration()) {
    out.kind = StmtKind::kDecl;
    if (at("localparam") || at("parameter")) out.decl = parse_parameter();
    else if (at("typedef")) out.decl = parse_typedef();
    else out.decl = parse_declaration();
    return out;
  }
  return parse_assignment_or_call(true);
}

Stmt Parser::parse_block() {
  Stmt out;
  out.kind = StmtKind::kBlock;
  const Span begin = peek().span;
  expect("begin", "");
  if (accept(":")) out.label = expect_name("a block's label");
  while (!at("end")) {
    if (peek().kind == TokenKind::kEnd) fail(begin, "'begin' without 'end'");
    if (at("endmodule") || at("endfunction") || at("endcase")) fail_here("'end'");
    out.body.push_back(parse_statement());
  }
  advance();
  end_label(out.label);
  return out;
}

Stmt Parser::parse_if() {
  Stmt out;
  out.kind = StmtKind::kIf;
  expect("if", "");
  expect("(", "after 'if'");
  out.expr = parse_expression();
  expect(")", "after the condition");
  out.body.push_back(parse_statement());
  if (accept("else")) out.body.push_back(parse_statement());
  return out;
}

Stmt Parser::parse_case() {
  Stmt out;
  out.kind = StmtKind::kCase;
  const Span begin = peek().span;
  if (at("casez")) out.case_kind = ast::CaseKind::kCasez;
  else if (at("casex")) out.case_kind = ast::CaseKind::kCasex;
  else if (!at("case")) fail_here("'if' or 'case'");
  advance();
  expect("(", "after 'case'");
  out.expr = parse_expression();
  expect(")", "after the selector");
  if (accept("inside")) out.case_kind = ast::CaseKind::kInside;
  if (at("matches")) fail(peek().span, "case matches is not part of the subset");
  while (!at("endcase")) {
    if (peek().kind == TokenKind::kEnd || at("endmodule")) fail(begin, "'case' without 'endcase'");
    const size_t arm_begin = position_;
    ast::CaseArm arm;
    if (accept("default")) {
      accept(":");
    } else {
      do arm.labels.push_back(parse_range_or_expression());
      while (accept(","));
      expect(":", "after the case label");
    }
    arm.body.push_back(parse_statement());
    arm.span = since(arm_begin);
    out.arms.push_back(std::move(arm));
  }
  advance();
  return out;
}

Stmt Parser::parse_for() {
  Stmt out;
  out.kind = StmtKind::kFor;
  expect("for", "");
  expect("(", "after 'for'");
  if (!at(";")) {
    if (at_declaration()) {
      Stmt decl;
      decl.kind = StmtKind::kDecl;
      const size_t begin = position_;
      ast::Item item;
      item.kind = ast::ItemKind::kDecl;
      while (at("automatic") || at("var")) advance();
      item.type = parse_type(false);
      do {
        if (at_type_keyword()) item.type = parse_type(false);
        item.names.push_back(parse_declarator(true));
      } while (accept(","));
      item.span = since(begin);
      decl.span = item.span;
      decl.decl = std::move(item);
      out.init.push_back(std::move(decl));
    } else {
      do out.init.push_back(parse_assignment_or_call(false));
      while (accept(","));
    }
  }
  expect(";", "after the start of the loop");
  if (!at(";")) out.expr = parse_expression();
  expect(";", "after the condition of the loop");
  if (!at(")")) {
    do out.step.push_back(parse_assignment_or_call(false));
    while (accept(","));
  }
  expect(")", "of the loop");
  out.body.push_back(parse_statement());
  return out;
}

Stmt Parser::parse_loop() {
  Stmt out;
  const std::string_view word = advance().text;
  if (word == "forever") {
    out.kind = StmtKind::kForever;
  } else if (word == "do") {
    out.kind = StmtKind::kDoWhile;
    out.body.push_back(parse_statement());
    expect("while", "after the body of 'do'");
    expect("(", "after 'while'");
    out.expr = parse_expression();
    expect(")", "after the condition");
    expect(";", "after 'do'");
    return out;
  } else {
    out.kind = word == "while" ? StmtKind::kWhile : word == "repeat" ? StmtKind::kRepeat : StmtKind::kForeach;
    expect("(", "of the loop");
    if (word == "foreach") {
      ast::Expr array = ast::make_name(expect_name("an array"));
      array.span = tokens_[position_ - 1].span;
      out.expr = std::move(array);
      expect("[", "of foreach");
      do out.loop_vars.push_back(at(",") || at("]") ? "" : expect_name("a loop variable"));
      while (accept(","));
      expect("]", "of foreach");
    } else {
      out.expr = parse_expression();
    }
    expect(")", "of the loop");
  }
  out.body.push_back(parse_statement());
  return out;
}

Stmt Parser::parse_assignment_or_call(bool with_semicolon) {
  const size_t begin = position_;
  Stmt out;
  const auto finish = [&] {
    if (with_semicolon) expect(";", "after the statement");
    out.span = since(begin);
    return std::move(out);
  };
  const auto increment = [&](ast::Op op, ast::Expr target) {
    out.kind = StmtKind::kAssign;
    out.op = op;
    out.expr = ast::make_number_expr(32, 1, 'd');
    out.expr->number->is_signed = true;
    out.expr->number->sized = false;
    out.target = std::move(target);
  };
  if (at("++") || at("--")) {
    const bool up = advance().text == "++";
    increment(up ? ast::Op::kAdd : ast::Op::kSub, parse_lvalue());
    return finish();
  }
  if (at("void")) {
    out.kind = StmtKind::kCall;
    out.expr = parse_primary();
    return finish();
  }
  if (at("'{")) fail(peek().span, "assignment patterns as targets are not part of the subset");
  ast::Expr target = parse_lvalue();
  if (at("++") || at("--")) {
    const bool up = advance().text == "++";
    increment(up ? ast::Op::kAdd : ast::Op::kSub, std::move(target));
    return finish();
  }
  static constexpr std::array<std::pair<std::string_view, ast::Op>, 13> kCompound{
      {{"=", ast::Op::kNone}, {"+=", ast::Op::kAdd}, {"-=", ast::Op::kSub}, {"*=", ast::Op::kMul},
       {"/=", ast::Op::kDiv}, {"%=", ast::Op::kMod}, {"&=", ast::Op::kBitAnd}, {"|=", ast::Op::kBitOr},
       {"^=", ast::Op::kBitXor}, {"<<=", ast::Op::kShl}, {">>=", ast::Op::kShr}, {"<<<=", ast::Op::kAshl},
       {">>>=", ast::Op::kAshr}}};
  if (accept("<=")) {
    out.nonblocking = true;
  } else {
    const auto it = std::find_if(kCompound.begin(), kCompound.end(),
                                 [&](const auto& entry) { return at(entry.first); });
    if (it == kCompound.end()) {
      if (target.kind != ast::ExprKind::kCall && !(target.kind == ast::ExprKind::kName && at(";"))) {
        fail_here("'=' or '<='");
      }
      out.kind = StmtKind::kCall;
      out.expr = std::move(target);
      return finish();
    }
    out.op = it->second;
    advance();
  }
  out.kind = StmtKind::kAssign;
  out.target = std::move(target);
  if (at("#")) skip_delay();
  if (at("@") || at("repeat")) fail(peek().span, "event control inside an assignment is not part of the subset");
  out.expr = parse_expression();
  return finish();
}

void Parser::skip_delay() {
  expect("#", "of the delay");
  if (at("(")) {
    const size_t after = skip_brackets(0);
    for (size_t i = 0; i < after; ++i) advance();
    return;
  }
  if (peek().kind == TokenKind::kNumber || is_name()) {
    advance();
    return;
  }
  fail_here("a delay");
}

ast::EventTerm Parser::parse_event_term() {
  const size_t begin = position_;
  ast::EventTerm out;
  if (accept("posedge")) out.edge = ast::Edge::kPos;
  else if (accept("negedge")) out.edge = ast::Edge::kNeg;
  else if (at("edge")) advance();
  out.expr = parse_expression();
  if (accept("iff")) out.iff = parse_expression();
  out.span = since(begin);
  return out;
}

void Parser::parse_event_terms(ast::EventControl& out) {
  Nest nest(*this);
  do {
    if (at("(")) {
      advance();
      parse_event_terms(out);
      expect(")", "of the event");
    } else {
      out.terms.push_back(parse_event_term());
    }
  } while (accept("or") || accept(","));
}

ast::EventControl Parser::parse_event_control() {
  const size_t begin = position_;
  expect("@", "of the event");
  ast::EventControl out;
  if (accept("*")) {
    out.star = true;
  } else if (at("(") && is(peek(1), "*") && is(peek(2), ")")) {
    advance();
    advance();
    advance();
    out.star = true;
  } else if (accept("(")) {
    parse_event_terms(out);
    expect(")", "of the event");
  } else {
    ast::EventTerm term;
    term.span = peek().span;
    term.expr = ast::make_name(expect_name("a clock"));
    term.expr.span = term.span;
    while (at(".") && is_name(1)) {
      advance();
      ast::Expr member;
      member.kind = ast::ExprKind::kMember;
      member.name = std::string(advance().text);
      member.args.push_back(std::move(term.expr));
      term.expr = std::move(member);
    }
    out.terms.push_back(std::move(term));
  }
  out.span = since(begin);
  return out;
}

ast::Assertion Parser::parse_assertion() {
  const size_t begin = position_;
  ast::Assertion out;
  const std::string_view word = advance().text;
  out.kind = word == "assert"   ? ast::AssertKind::kAssert
             : word == "assume" ? ast::AssertKind::kAssume
             : word == "cover"  ? ast::AssertKind::kCover
                                : ast::AssertKind::kRestrict;
  if (at("property") || at("sequence")) {
    if (advance().text == "sequence") out.kind = ast::AssertKind::kCoverSequence;
    out.concurrent = true;
    expect("(", "of the property");
    out.property = parse_property();
    if (at(";")) advance();
    expect(")", "after the property");
  } else {
    if (accept("final")) {
      out.final_deferred = true;
    } else if (at("#")) {
      skip_delay();
      out.zero_deferred = true;
    }
    expect("(", "of the assertion");
    out.expr = parse_expression();
    expect(")", "after the asserted expression");
  }
  if (accept("else")) {
    out.fail.push_back(parse_statement());
  } else if (!accept(";")) {
    if (at("end") || at("endmodule") || peek().kind == TokenKind::kEnd || at_assertion() || at("property") ||
        (is_name() && is(peek(1), ":"))) {
      expect(";", "after the assertion");
    }
    out.pass.push_back(parse_statement());
    if (accept("else")) out.fail.push_back(parse_statement());
  }
  out.span = since(begin);
  return out;
}

}  // namespace callie::assertions
