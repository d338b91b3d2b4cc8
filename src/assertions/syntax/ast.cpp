#include "assertions/syntax/ast.h"

namespace callie::assertions::ast {

bool Number::has_unknown() const {
  for (uint64_t word : unknown) {
    if (word) return true;
  }
  return false;
}

Number make_number(int width, uint64_t value, char base) {
  Number out;
  out.width = width;
  out.sized = true;
  out.is_signed = false;
  out.base = base;
  out.value.assign((width + 63) / 64, 0);
  out.unknown.assign((width + 63) / 64, 0);
  out.value[0] = width < 64 ? value & ((uint64_t{1} << width) - 1) : value;
  return out;
}

std::string_view spelling(Op op) {
  switch (op) {
    case Op::kNone: return "";
    case Op::kPlus: case Op::kAdd: return "+";
    case Op::kMinus: case Op::kSub: return "-";
    case Op::kNot: return "!";
    case Op::kBitNot: return "~";
    case Op::kAnd: case Op::kBitAnd: return "&";
    case Op::kNand: return "~&";
    case Op::kOr: case Op::kBitOr: return "|";
    case Op::kNor: return "~|";
    case Op::kXor: case Op::kBitXor: return "^";
    case Op::kXnor: case Op::kBitXnor: return "~^";
    case Op::kMul: return "*";
    case Op::kDiv: return "/";
    case Op::kMod: return "%";
    case Op::kPower: return "**";
    case Op::kShl: return "<<";
    case Op::kShr: return ">>";
    case Op::kAshl: return "<<<";
    case Op::kAshr: return ">>>";
    case Op::kLt: return "<";
    case Op::kLe: return "<=";
    case Op::kGt: return ">";
    case Op::kGe: return ">=";
    case Op::kEq: return "==";
    case Op::kNe: return "!=";
    case Op::kCaseEq: return "===";
    case Op::kCaseNe: return "!==";
    case Op::kWildEq: return "==?";
    case Op::kWildNe: return "!=?";
    case Op::kLogicAnd: return "&&";
    case Op::kLogicOr: return "||";
    case Op::kImplies: return "->";
    case Op::kEquiv: return "<->";
  }
  return "";
}

std::string_view spelling(PropKind kind) {
  switch (kind) {
    case PropKind::kBoolean: return "expression";
    case PropKind::kInstance: return "instance";
    case PropKind::kDelay: return "##";
    case PropKind::kRepeat: return "[*";
    case PropKind::kGoto: return "[->";
    case PropKind::kNonConsec: return "[=";
    case PropKind::kThroughout: return "throughout";
    case PropKind::kWithin: return "within";
    case PropKind::kIntersect: return "intersect";
    case PropKind::kAnd: return "and";
    case PropKind::kOr: return "or";
    case PropKind::kFirstMatch: return "first_match";
    case PropKind::kClocked: return "@";
    case PropKind::kStrong: return "strong";
    case PropKind::kWeak: return "weak";
    case PropKind::kNot: return "not";
    case PropKind::kNextTime: return "nexttime";
    case PropKind::kSNextTime: return "s_nexttime";
    case PropKind::kAlways: return "always";
    case PropKind::kSAlways: return "s_always";
    case PropKind::kEventually: return "eventually";
    case PropKind::kSEventually: return "s_eventually";
    case PropKind::kImplies: return "implies";
    case PropKind::kIff: return "iff";
    case PropKind::kUntil: return "until";
    case PropKind::kSUntil: return "s_until";
    case PropKind::kUntilWith: return "until_with";
    case PropKind::kSUntilWith: return "s_until_with";
    case PropKind::kOverlap: return "|->";
    case PropKind::kNonOverlap: return "|=>";
    case PropKind::kFollowedBy: return "#-#";
    case PropKind::kFollowedByNext: return "#=#";
    case PropKind::kIf: return "if";
    case PropKind::kCase: return "case";
    case PropKind::kAcceptOn: return "accept_on";
    case PropKind::kRejectOn: return "reject_on";
    case PropKind::kSyncAcceptOn: return "sync_accept_on";
    case PropKind::kSyncRejectOn: return "sync_reject_on";
    case PropKind::kDisable: return "disable iff";
    case PropKind::kAssigned: return "local variable assignment";
  }
  return "";
}

Expr make_name(std::string name) {
  Expr out;
  out.kind = ExprKind::kName;
  out.name = std::move(name);
  return out;
}

Expr make_number_expr(int width, uint64_t value, char base) {
  Expr out;
  out.number = make_number(width, value, base);
  return out;
}

Expr make_unary(Op op, Expr a) {
  Expr out;
  out.kind = ExprKind::kUnary;
  out.op = op;
  out.args.push_back(std::move(a));
  return out;
}

Expr make_binary(Op op, Expr a, Expr b) {
  Expr out;
  out.kind = ExprKind::kBinary;
  out.op = op;
  out.args.push_back(std::move(a));
  out.args.push_back(std::move(b));
  return out;
}

Expr make_call(std::string name, std::vector<Expr> args) {
  Expr out;
  out.kind = ExprKind::kCall;
  out.name = std::move(name);
  out.args = std::move(args);
  return out;
}

const Module* Unit::find(std::string_view name) const {
  for (const Module& module : modules) {
    if (module.name == name) return &module;
  }
  return nullptr;
}

}  // namespace callie::assertions::ast
