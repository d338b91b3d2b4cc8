#include "assertions/syntax/parser_impl.h"

namespace callie::assertions {

using ast::Prop;
using ast::PropKind;

Prop Parser::binary_property(PropKind kind, Span op, Prop left, Prop right) const {
  Prop out;
  out.kind = kind;
  out.op_span = op;
  out.span = left.span;
  if (right.span.file == out.span.file && right.span.end > out.span.end) out.span.end = right.span.end;
  out.args.push_back(std::move(left));
  out.args.push_back(std::move(right));
  return out;
}

Prop Parser::parse_property() {
  Nest nest(*this);
  Prop left = parse_until_level();
  static constexpr std::pair<std::string_view, PropKind> kOps[] = {
      {"|->", PropKind::kOverlap}, {"|=>", PropKind::kNonOverlap},
      {"#-#", PropKind::kFollowedBy}, {"#=#", PropKind::kFollowedByNext}};
  for (const auto& [text, kind] : kOps) {
    if (!at(text)) continue;
    const Span op = advance().span;
    return binary_property(kind, op, std::move(left), parse_property());
  }
  return left;
}

Prop Parser::parse_until_level() {
  Prop left = parse_iff_level();
  static constexpr std::pair<std::string_view, PropKind> kOps[] = {
      {"until", PropKind::kUntil}, {"s_until", PropKind::kSUntil}, {"until_with", PropKind::kUntilWith},
      {"s_until_with", PropKind::kSUntilWith}, {"implies", PropKind::kImplies}};
  for (const auto& [text, kind] : kOps) {
    if (!at(text)) continue;
    Nest nest(*this);
    const Span op = advance().span;
    return binary_property(kind, op, std::move(left), parse_until_level());
  }
  return left;
}

Prop Parser::parse_iff_level() {
  Prop left = parse_or_level();
  if (!at("iff")) return left;
  Nest nest(*this);
  const Span op = advance().span;
  return binary_property(PropKind::kIff, op, std::move(left), parse_iff_level());
}

Prop Parser::parse_or_level() {
  Prop left = parse_and_level();
  for (int chain = 0; at("or"); ++chain) {
    if (chain > kMaxNesting) fail(peek().span, "too many 'or' in a row");
    const Span op = advance().span;
    left = binary_property(PropKind::kOr, op, std::move(left), parse_and_level());
  }
  return left;
}

Prop Parser::parse_and_level() {
  Prop left = parse_property_unary();
  for (int chain = 0; at("and"); ++chain) {
    if (chain > kMaxNesting) fail(peek().span, "too many 'and' in a row");
    const Span op = advance().span;
    left = binary_property(PropKind::kAnd, op, std::move(left), parse_property_unary());
  }
  return left;
}

bool Parser::at_property_prefix() const {
  return at("not") || at("nexttime") || at("s_nexttime") || at("strong") || at("weak") || at("always") ||
         at("s_always") || at("eventually") || at("s_eventually") || at("if") || at("case") || at("accept_on") ||
         at("reject_on") || at("sync_accept_on") || at("sync_reject_on") || at("disable") || at("@");
}

Prop Parser::parse_property_unary() {
  return at_property_prefix() ? parse_property_prefix() : parse_intersect_level();
}

Prop Parser::parse_property_prefix() {
  Nest nest(*this);
  const size_t begin = position_;
  Prop out;
  out.op_span = peek().span;
  const auto finish = [&] {
    out.span = since(begin);
    return std::move(out);
  };
  if (at("case")) return parse_property_case();
  if (at("@")) {
    out.kind = PropKind::kClocked;
    out.event = parse_event_control();
    out.args.push_back(parse_property());
    return finish();
  }
  const std::string_view word = advance().text;
  if (word == "not") {
    out.kind = PropKind::kNot;
    out.args.push_back(parse_property_unary());
    return finish();
  }
  if (word == "strong" || word == "weak") {
    out.kind = word == "strong" ? PropKind::kStrong : PropKind::kWeak;
    expect("(", "of the sequence");
    out.args.push_back(parse_property());
    expect(")", "after the sequence");
    return finish();
  }
  if (word == "if") {
    out.kind = PropKind::kIf;
    expect("(", "after 'if'");
    out.expr = parse_expression();
    expect(")", "after the condition");
    out.args.push_back(parse_property());
    if (accept("else")) out.args.push_back(parse_property());
    return finish();
  }
  if (word == "disable") {
    out.kind = PropKind::kDisable;
    expect("iff", "after 'disable'");
    expect("(", "after 'disable iff'");
    out.expr = parse_expression();
    expect(")", "after the condition");
    out.args.push_back(parse_property());
    return finish();
  }
  if (word.ends_with("ccept_on") || word.ends_with("eject_on")) {
    out.kind = word == "accept_on"        ? PropKind::kAcceptOn
               : word == "reject_on"      ? PropKind::kRejectOn
               : word == "sync_accept_on" ? PropKind::kSyncAcceptOn
                                          : PropKind::kSyncRejectOn;
    expect("(", "of the condition");
    out.expr = parse_expression();
    expect(")", "after the condition");
    out.args.push_back(parse_property());
    return finish();
  }
  const bool next = word.ends_with("nexttime");
  out.kind = word == "nexttime"     ? PropKind::kNextTime
             : word == "s_nexttime" ? PropKind::kSNextTime
             : word == "always"     ? PropKind::kAlways
             : word == "s_always"   ? PropKind::kSAlways
             : word == "eventually" ? PropKind::kEventually
                                    : PropKind::kSEventually;
  if (accept("[")) {
    out.low = parse_expression();
    if (!next) {
      expect(":", "of the range");
      out.high = at("$") ? parse_primary() : parse_expression();
    }
    expect("]", "of the range");
  }
  out.args.push_back(next ? parse_property_unary() : parse_property());
  return finish();
}

Prop Parser::parse_property_case() {
  const size_t begin = position_;
  Prop out;
  out.kind = PropKind::kCase;
  out.op_span = advance().span;
  expect("(", "after 'case'");
  out.expr = parse_expression();
  expect(")", "after the selector");
  while (!at("endcase")) {
    if (peek().kind == TokenKind::kEnd) fail(out.op_span, "'case' without 'endcase'");
    std::vector<ast::Expr> labels;
    if (accept("default")) {
      accept(":");
    } else {
      do labels.push_back(parse_expression());
      while (accept(","));
      expect(":", "after the case label");
    }
    out.labels.push_back(std::move(labels));
    out.args.push_back(parse_property());
    accept(";");
  }
  advance();
  out.span = since(begin);
  return out;
}

Prop Parser::parse_intersect_level() {
  Prop left = parse_within_level();
  while (at("intersect")) {
    const Span op = advance().span;
    left = binary_property(PropKind::kIntersect, op, std::move(left), parse_within_level());
  }
  return left;
}

Prop Parser::parse_within_level() {
  Prop left = parse_throughout_level();
  while (at("within")) {
    const Span op = advance().span;
    left = binary_property(PropKind::kWithin, op, std::move(left), parse_throughout_level());
  }
  return left;
}

Prop Parser::parse_throughout_level() {
  Prop left = parse_delay_level();
  if (!at("throughout")) return left;
  Nest nest(*this);
  const Span op = advance().span;
  return binary_property(PropKind::kThroughout, op, std::move(left), parse_throughout_level());
}

// Behind "##": a number, a name, (expression), [m:n], [*] or [+].
void Parser::parse_delay_range(Prop& out) {
  out.op_span = expect("##", "of the delay").span;
  if (accept("[")) {
    if (at("*") || at("+")) {
      out.low = ast::make_number_expr(32, at("+") ? 1 : 0, 'd');
      out.low->number->sized = false;
      out.low->number->is_signed = true;
      advance();
      ast::Expr dollar;
      dollar.kind = ast::ExprKind::kDollar;
      out.high = std::move(dollar);
    } else {
      out.low = parse_expression();
      if (accept(":")) out.high = at("$") ? parse_primary() : parse_expression();
    }
    expect("]", "after the delay range");
  } else if (accept("(")) {
    out.low = parse_expression();
    expect(")", "after the delay");
  } else {
    out.low = parse_primary_base();
  }
}

Prop Parser::parse_delay_level() {
  const size_t begin = position_;
  Prop left;
  bool has_left = false;
  if (!at("##")) {
    left = parse_repeat_level();
    has_left = true;
  }
  for (int chain = 0; at("##"); ++chain) {
    if (chain > kMaxNesting) fail(peek().span, "too many '##' in a row");
    Prop out;
    out.kind = PropKind::kDelay;
    parse_delay_range(out);
    if (has_left) out.args.push_back(std::move(left));
    out.args.push_back(parse_repeat_level());
    out.span = since(begin);
    left = std::move(out);
    has_left = true;
  }
  return left;
}

void Parser::parse_bracket_range(Prop& out) {
  const auto plain = [](uint64_t value) {
    ast::Expr number = ast::make_number_expr(32, value, 'd');
    number.number->sized = false;
    number.number->is_signed = true;
    return number;
  };
  if (at("]")) {
    out.low = plain(0);
    ast::Expr dollar;
    dollar.kind = ast::ExprKind::kDollar;
    out.high = std::move(dollar);
  } else {
    out.low = parse_expression();
    if (accept(":")) out.high = at("$") ? parse_primary() : parse_expression();
  }
  expect("]", "after the repetition");
}

Prop Parser::parse_repeat_level() {
  const size_t begin = position_;
  Prop left = parse_sequence_primary();
  for (int chain = 0;; ++chain) {
    if (chain > kMaxNesting) fail(peek().span, "too many repetitions in a row");
    Prop out;
    if (at("[", "*")) out.kind = PropKind::kRepeat;
    else if (at("[", "->")) out.kind = PropKind::kGoto;
    else if (at("[", "=")) out.kind = PropKind::kNonConsec;
    else if (at("[", "+") && is(peek(2), "]")) out.kind = PropKind::kRepeat;
    else return left;
    out.op_span = advance().span;
    if (advance().text == "+") {
      out.low = ast::make_number_expr(32, 1, 'd');
      out.low->number->sized = false;
      out.low->number->is_signed = true;
      ast::Expr dollar;
      dollar.kind = ast::ExprKind::kDollar;
      out.high = std::move(dollar);
      expect("]", "after the repetition");
    } else {
      parse_bracket_range(out);
    }
    out.args.push_back(std::move(left));
    out.span = since(begin);
    left = std::move(out);
  }
}

Prop Parser::parse_sequence_primary() {
  Nest nest(*this);
  const size_t begin = position_;
  Prop out;
  out.op_span = peek().span;
  if (at("first_match")) {
    advance();
    out.kind = PropKind::kFirstMatch;
    expect("(", "of first_match");
    out.args.push_back(parse_property());
    while (accept(",")) out.items.push_back(parse_expression());
    expect(")", "after first_match");
    out.span = since(begin);
    return out;
  }
  // A plain expression where one can be read; a sequence or property in parentheses where it cannot.
  const bool may_be_property = at("(") || (is_name() && (is(peek(1), "(") || is(peek(1), "::")));
  const size_t saved = position_;
  const int saved_depth = depth_;
  try {
    out.expr = parse_ternary();
    if (at("->") || at("<->")) {
      const ast::Op op = at("->") ? ast::Op::kImplies : ast::Op::kEquiv;
      advance();
      out.expr = ast::make_binary(op, std::move(*out.expr), parse_expression());
      out.expr->span = since(begin);
    }
    out.kind = PropKind::kBoolean;
    out.span = since(begin);
    return out;
  } catch (const SourceError& problem) {
    depth_ = saved_depth;
    if (!may_be_property || problem.message.starts_with("nested deeper")) throw;
    const size_t reached = position_;
    position_ = saved;
    out = {};
    out.op_span = peek().span;
    try {
      if (accept("(")) {
        out = parse_property();
        if (at(",")) {
          Prop assigned;
          assigned.kind = PropKind::kAssigned;
          assigned.op_span = peek().span;
          while (accept(",")) {
            ast::Expr target = parse_primary();
            if (accept("=")) {
              assigned.items.push_back(ast::make_binary(ast::Op::kNone, std::move(target), parse_expression()));
            } else if (at("++") || at("--")) {
              advance();
              assigned.items.push_back(std::move(target));
            } else {
              assigned.items.push_back(std::move(target));
            }
          }
          assigned.args.push_back(std::move(out));
          out = std::move(assigned);
        }
        expect(")", "after the property");
      } else {
        out.kind = PropKind::kInstance;
        out.name = std::string(advance().text);
        while (accept("::")) out.name += "::" + expect_name("a name");
        expect("(", "of the arguments");
        if (!at(")")) {
          do {
            ast::Expr key;
            if (at(".") && is_name(1)) {
              advance();
              out.items.push_back(ast::make_name(std::string(advance().text)));
              expect("(", "of the named argument");
              out.args.push_back(parse_property());
              expect(")", "after the named argument");
            } else {
              out.args.push_back(parse_property());
            }
          } while (accept(","));
        }
        expect(")", "after the arguments");
      }
    } catch (const SourceError& second) {
      // The message of the reading that got further is the helpful one.
      if (position_ > reached) throw second;
      throw problem;
    }
    out.span = since(begin);
    return out;
  }
}

}  // namespace callie::assertions
