#include "assertions/generate/expressions.h"

#include <algorithm>

namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Op;

Expr any_of(const std::vector<Expr>& terms) {
  if (terms.empty()) return ast::make_number_expr(1, 0, 'b');
  std::vector<Expr> kept;
  for (const Expr& term : terms) {
    if (!contains(kept, term)) kept.push_back(term);
  }
  Expr out = kept[0];
  for (size_t i = 1; i < kept.size(); ++i) out = ast::make_binary(Op::kLogicOr, std::move(out), kept[i]);
  return out;
}

Expr substitute(const Expr& expr, const std::map<std::string, Expr>& values, bool& failed) {
  if (expr.kind == ExprKind::kName) {
    const auto it = values.find(expr.name);
    return it == values.end() ? expr : it->second;
  }
  Expr out = expr;
  for (size_t i = 0; i < out.args.size(); ++i) {
    const bool is_base = i == 0 && (expr.kind == ExprKind::kIndex || expr.kind == ExprKind::kRange ||
                                    expr.kind == ExprKind::kRangeUp || expr.kind == ExprKind::kRangeDown ||
                                    expr.kind == ExprKind::kMember);
    out.args[i] = substitute(expr.args[i], values, failed);
    if (is_base && out.args[i].kind != ExprKind::kName && !(out.args[i] == expr.args[i])) failed = true;
  }
  return out;
}

void collect_names(const Expr& expr, std::set<std::string>& names) {
  if (expr.kind == ExprKind::kName) names.insert(expr.name);
  for (const Expr& arg : expr.args) collect_names(arg, names);
}

Expr integer(int n) {
  Expr out;
  out.number = ast::make_number(32, static_cast<uint64_t>(n), 'd');
  out.number->is_signed = true;
  out.number->sized = false;
  return out;
}

ast::Item register_process(const ast::EventControl& event, const std::string& name, const Expr& value) {
  ast::Stmt assign;
  assign.kind = ast::StmtKind::kAssign;
  assign.nonblocking = true;
  assign.target = ast::make_name(name);
  assign.expr = value;
  ast::Stmt timed;
  timed.kind = ast::StmtKind::kTimed;
  timed.event = event;
  timed.body.push_back(std::move(assign));
  ast::Item process;
  process.kind = ast::ItemKind::kAlways;
  process.always = ast::AlwaysKind::kFf;
  process.body.push_back(std::move(timed));
  return process;
}

int width_of(const Expr& e, const std::map<std::string, int>& widths) {
  const auto at = [&](size_t i) { return width_of(e.args[i], widths); };
  const auto constant = [](const Expr& x) { return x.kind == ExprKind::kNumber ? static_cast<int>(x.number->value[0]) : -1; };
  switch (e.kind) {
    case ExprKind::kNumber: return e.number->width;
    case ExprKind::kName: {
      const auto it = widths.find(e.name);
      return it == widths.end() ? 0 : it->second;
    }
    case ExprKind::kIndex: return 1;
    case ExprKind::kRange: return constant(e.args[1]) - constant(e.args[2]) + 1;
    case ExprKind::kRangeUp: case ExprKind::kRangeDown: return constant(e.args[2]);
    case ExprKind::kTernary: return std::max(at(1), at(2));
    case ExprKind::kConcat: {
      int sum = 0;
      for (size_t i = 0; i < e.args.size(); ++i) sum += at(i);
      return sum;
    }
    case ExprKind::kReplicate: return constant(e.args[0]) * at(1);
    case ExprKind::kUnary:
      return e.op == Op::kBitNot || e.op == Op::kMinus || e.op == Op::kPlus ? at(0) : 1;
    case ExprKind::kBinary:
      switch (e.op) {
        case Op::kAdd: case Op::kSub: case Op::kMul: case Op::kDiv: case Op::kMod: case Op::kBitAnd: case Op::kBitOr:
        case Op::kBitXor: case Op::kBitXnor: return std::max(at(0), at(1));
        case Op::kShl: case Op::kShr: case Op::kAshl: case Op::kAshr: case Op::kPower: return at(0);
        default: return 1;
      }
    case ExprKind::kInside: return 1;
    case ExprKind::kCall:
      if (e.name == "$past" && !e.args.empty()) return at(0);
      if (e.name == "$rose" || e.name == "$fell" || e.name == "$stable" || e.name == "$changed" || e.name == "$onehot" ||
          e.name == "$onehot0") return 1;
      if ((e.name == "$signed" || e.name == "$unsigned") && !e.args.empty()) return at(0);
      return 0;
    default: return 0;
  }
}

}  // namespace callie::assertions
