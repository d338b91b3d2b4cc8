#include <optional>

#include <fmt/format.h>

#include "assertions/lower/property.h"

/// Named properties and sequences put in where they are used, with their arguments.
namespace callie::assertions {

using ast::Prop;
using ast::PropKind;

namespace {

using Arguments = std::map<std::string, std::pair<Prop, const ast::Formal*>>;

ast::Expr replace(const ast::Expr& expr, const Arguments& args, Span use) {
  if (expr.kind == ast::ExprKind::kName) {
    const auto it = args.find(expr.name);
    if (it != args.end()) {
      if (it->second.first.kind != PropKind::kBoolean) {
        throw SourceError{use, "sequence or property as an operand of an expression", StatusCode::kUnimplemented};
      }
      ast::Expr value = *it->second.first.expr;
      if (!it->second.second->untyped) {
        ast::Expr cast;
        cast.kind = ast::ExprKind::kCast;
        cast.type = it->second.second->type;
        cast.span = value.span;
        cast.args.push_back(std::move(value));
        return cast;
      }
      return value;
    }
  }
  ast::Expr out = expr;
  for (ast::Expr& arg : out.args) arg = replace(arg, args, use);
  return out;
}

Prop replace(const Prop& p, const Arguments& args, Span use) {
  if (p.kind == PropKind::kBoolean && p.expr->kind == ast::ExprKind::kName) {
    const auto it = args.find(p.expr->name);
    if (it != args.end() && it->second.first.kind != PropKind::kBoolean) return it->second.first;
  }
  Prop out = p;
  if (out.expr) out.expr = replace(*out.expr, args, use);
  if (out.low) out.low = replace(*out.low, args, use);
  if (out.high) out.high = replace(*out.high, args, use);
  if (out.event) {
    for (ast::EventTerm& term : out.event->terms) term.expr = replace(term.expr, args, use);
  }
  for (Prop& arg : out.args) arg = replace(arg, args, use);
  for (auto& labels : out.labels) {
    for (ast::Expr& label : labels) label = replace(label, args, use);
  }
  if (p.kind != PropKind::kInstance) {
    for (ast::Expr& item : out.items) item = replace(item, args, use);
  }
  return out;
}

/// A case as a chain of if; what no label matches holds (IEEE 1800-2017, 16.12.16).
Prop as_choices(const Prop& p) {
  std::optional<Prop> out;
  for (size_t i = 0; i < p.args.size(); ++i) {
    if (p.labels[i].empty()) out = p.args[i];
  }
  for (size_t i = p.args.size(); i-- > 0;) {
    if (p.labels[i].empty()) continue;
    Prop choice;
    choice.kind = PropKind::kIf;
    choice.span = p.span;
    choice.op_span = p.op_span;
    for (const ast::Expr& label : p.labels[i]) {
      ast::Expr same = ast::make_binary(ast::Op::kCaseEq, *p.expr, label);
      same.span = label.span;
      choice.expr = choice.expr ? ast::make_binary(ast::Op::kLogicOr, *choice.expr, std::move(same)) : std::move(same);
    }
    choice.args.push_back(p.args[i]);
    if (out) choice.args.push_back(std::move(*out));
    out = std::move(choice);
  }
  if (out) return *out;
  Prop nothing_to_match;
  nothing_to_match.expr = ast::make_number_expr(1, 1, 'b');
  nothing_to_match.span = p.span;
  return nothing_to_match;
}

}  // namespace

Prop PropertyLowering::instance(const Symbol& symbol, const std::string& name, std::vector<Prop> args,
                                const std::vector<ast::Expr>& keys, Span span, int depth) {
  const ast::Item& item = *symbol.item;
  if (depth > 40) throw SourceError{span, fmt::format("recursive property '{}'", name), StatusCode::kUnimplemented};
  if (!item.items.empty()) throw SourceError{item.items[0].span, "local variable", StatusCode::kUnimplemented};
  Arguments map;
  const size_t positional = args.size() - keys.size();
  for (size_t i = 0; i < args.size(); ++i) {
    size_t at = i;
    if (i >= positional) {
      at = 0;
      while (at < item.formals.size() && item.formals[at].name.name != keys[i - positional].name) ++at;
    }
    if (at >= item.formals.size()) throw SourceError{span, fmt::format("'{}' takes {} arguments", name, item.formals.size())};
    map[item.formals[at].name.name] = {std::move(args[i]), &item.formals[at]};
  }
  for (const ast::Formal& formal : item.formals) {
    if (map.contains(formal.name.name)) continue;
    if (!formal.name.init) throw SourceError{span, fmt::format("'{}' lacks its argument '{}'", name, formal.name.name)};
    Prop value;
    value.expr = *formal.name.init;
    value.span = span;
    map[formal.name.name] = {std::move(value), &formal};
  }
  return expand(replace(*item.property, map, span), depth + 1);
}

// The property with named sequences and properties put in.
Prop PropertyLowering::expand(const Prop& p, int depth) {
  if (depth > 400) unsupported(p);
  if (p.kind == PropKind::kInstance) {
    const Symbol* symbol = e_.resolve(ast::make_name(p.name), frame_);
    if (!symbol) throw SourceError{p.span, fmt::format("unknown property or sequence '{}'", p.name)};
    if (symbol->kind != Symbol::Kind::kProperty && symbol->kind != Symbol::Kind::kSequence) {
      throw SourceError{p.span, fmt::format("'{}' is no property or sequence", p.name)};
    }
    return instance(*symbol, p.name, p.args, p.items, p.span, depth);
  }
  if (p.kind == PropKind::kBoolean) {
    const ast::Expr& expr = *p.expr;
    const bool call = expr.kind == ast::ExprKind::kCall && !expr.name.empty() && expr.name[0] != '$' && expr.name[0] != '.';
    if (expr.kind == ast::ExprKind::kName || call) {
      const Symbol* symbol = e_.resolve(ast::make_name(expr.name), frame_);
      if (symbol && (symbol->kind == Symbol::Kind::kProperty || symbol->kind == Symbol::Kind::kSequence)) {
        std::vector<Prop> args;
        std::vector<ast::Expr> keys;
        for (const ast::Expr& arg : expr.args) {
          Prop one;
          one.expr = arg;
          one.span = arg.span;
          args.push_back(std::move(one));
        }
        for (const std::string& key : expr.keys) keys.push_back(ast::make_name(key));
        return instance(*symbol, expr.name, std::move(args), keys, p.span, depth);
      }
    }
    return p;
  }
  Prop out = p;
  for (Prop& arg : out.args) arg = expand(arg, depth + 1);
  return p.kind == PropKind::kCase ? as_choices(out) : out;
}

}  // namespace callie::assertions
