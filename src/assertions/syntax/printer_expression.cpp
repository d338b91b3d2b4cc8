#include <algorithm>

#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;
using ast::Number;
using ast::Op;
using ast::Prop;
using ast::PropKind;

namespace {

int level(Op op) {
  switch (op) {
    case Op::kImplies: case Op::kEquiv: return 0;
    case Op::kLogicOr: return 2;
    case Op::kLogicAnd: return 3;
    case Op::kBitOr: return 4;
    case Op::kBitXor: case Op::kBitXnor: return 5;
    case Op::kBitAnd: return 6;
    case Op::kEq: case Op::kNe: case Op::kCaseEq: case Op::kCaseNe: case Op::kWildEq: case Op::kWildNe: return 7;
    case Op::kLt: case Op::kLe: case Op::kGt: case Op::kGe: return 8;
    case Op::kShl: case Op::kShr: case Op::kAshl: case Op::kAshr: return 9;
    case Op::kAdd: case Op::kSub: return 10;
    case Op::kMul: case Op::kDiv: case Op::kMod: return 11;
    case Op::kPower: return 12;
    default: return 13;
  }
}

int level(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kBinary: return level(expr.op);
    case ExprKind::kTernary: return 1;
    case ExprKind::kInside: return 8;
    case ExprKind::kUnary: return 13;
    default: return 14;
  }
}

std::string decimal(const Number& number) {
  std::vector<uint64_t> words = number.value;
  std::string out;
  bool more = true;
  while (more) {
    unsigned __int128 rest = 0;
    more = false;
    for (size_t i = words.size(); i-- > 0;) {
      rest = rest << 64 | words[i];
      words[i] = static_cast<uint64_t>(rest / 10);
      rest %= 10;
      more |= words[i] != 0;
    }
    out.push_back(static_cast<char>('0' + static_cast<int>(rest)));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

// The digits of base 2^bits, or nothing when a digit mixes known and unknown bits.
std::string digits(const Number& number, int bits) {
  std::string out;
  for (int low = (number.width - 1) / bits * bits; low >= 0; low -= bits) {
    int value = 0, x = 0, z = 0, count = 0;
    for (int i = 0; i < bits && low + i < number.width; ++i, ++count) {
      const bool bit = number.bit(low + i), unknown = number.unknown_bit(low + i);
      value |= bit << i;
      x += unknown && !bit;
      z += unknown && bit;
    }
    if (x == count) out.push_back('x');
    else if (z == count) out.push_back('?');
    else if (x + z > 0) return {};
    else out.push_back("0123456789abcdef"[value]);
  }
  return out;
}

std::string print_number(const Number& number) {
  if (number.fill) {
    const bool unknown = number.unknown_bit(0);
    return std::string("'") + (unknown ? (number.bit(0) ? 'z' : 'x') : (number.bit(0) ? '1' : '0'));
  }
  if (number.base == 'd' && !number.sized && number.is_signed && !number.has_unknown()) return decimal(number);
  std::string prefix = number.sized ? std::to_string(number.width) : "";
  prefix += '\'';
  if (number.is_signed) prefix += 's';
  if (number.base == 'd') {
    if (!number.has_unknown()) return prefix + 'd' + decimal(number);
    const std::string text = digits(number, 1);
    if (text.find_first_not_of('x') == std::string::npos) return prefix + "dx";
    if (text.find_first_not_of('?') == std::string::npos) return prefix + "d?";
    return prefix + 'b' + text;
  }
  const int bits = number.base == 'b' ? 1 : number.base == 'o' ? 3 : 4;
  std::string text = digits(number, bits);
  if (text.empty()) return prefix + 'b' + digits(number, 1);
  return prefix + number.base + text;
}

std::string print_name(const std::string& name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           c == ':' || c == '.';
  });
  return plain ? name : '\\' + name + ' ';
}

std::string print(const Expr& expr, int min_level);

std::string list(const std::vector<Expr>& args, size_t first, const std::vector<std::string>& keys, bool call) {
  std::string out;
  const size_t positional = call ? args.size() - keys.size() : 0;
  for (size_t i = first; i < args.size(); ++i) {
    if (i > first) out += ", ";
    if (call && i >= positional) out += "." + keys[i - positional] + "(" + print(args[i], 0) + ")";
    else if (!call && !keys.empty()) out += keys[i] + ": " + print(args[i], 0);
    else out += print(args[i], 0);
  }
  return out;
}

std::string print(const Expr& expr, int min_level) {
  std::string out;
  const auto arg = [&](size_t i, int at) { return print(expr.args[i], at); };
  switch (expr.kind) {
    case ExprKind::kNumber: out = print_number(*expr.number); break;
    case ExprKind::kString: out = '"' + expr.name + '"'; break;
    case ExprKind::kName: out = print_name(expr.name); break;
    case ExprKind::kMember: out = arg(0, 14) + "." + print_name(expr.name); break;
    case ExprKind::kIndex: out = arg(0, 14) + "[" + arg(1, 0) + "]"; break;
    case ExprKind::kRange: out = arg(0, 14) + "[" + arg(1, 0) + ":" + arg(2, 0) + "]"; break;
    case ExprKind::kRangeUp: out = arg(0, 14) + "[" + arg(1, 0) + " +: " + arg(2, 0) + "]"; break;
    case ExprKind::kRangeDown: out = arg(0, 14) + "[" + arg(1, 0) + " -: " + arg(2, 0) + "]"; break;
    case ExprKind::kUnary: out = std::string(spelling(expr.op)) + arg(0, 14); break;
    case ExprKind::kBinary: {
      const int own = level(expr.op);
      const bool right_first = own == 0;
      out = arg(0, own + right_first) + " " + std::string(spelling(expr.op)) + " " + arg(1, own + !right_first);
      break;
    }
    case ExprKind::kTernary: out = arg(0, 2) + " ? " + arg(1, 2) + " : " + arg(2, 0); break;
    case ExprKind::kConcat: out = "{" + list(expr.args, 0, {}, false) + "}"; break;
    case ExprKind::kReplicate: out = "{" + arg(0, 14) + arg(1, 14) + "}"; break;
    case ExprKind::kStream:
      out = "{" + std::string(spelling(expr.op)) + " " + (expr.args[0].kind == ExprKind::kEmpty ? "" : arg(0, 14) + " ") + arg(1, 14) + "}";
      break;
    case ExprKind::kCall:
      if (!expr.name.empty() && expr.name[0] == '.') {
        out = arg(0, 14) + expr.name;
        out += "(" + list(expr.args, 1, expr.keys, true) + ")";
      } else {
        out = print_name(expr.name);
        if (expr.name[0] != '$' || !expr.args.empty()) out += "(" + list(expr.args, 0, expr.keys, true) + ")";
      }
      break;
    case ExprKind::kCast:
      if (expr.type) out = assertions::print(*expr.type);
      else if (!expr.name.empty()) out = expr.name;
      else out = arg(1, 14);
      out += "'(" + arg(0, 0) + ")";
      break;
    case ExprKind::kInside: out = arg(0, 8) + " inside {" + list(expr.args, 1, {}, false) + "}"; break;
    case ExprKind::kValueRange: out = "[" + arg(0, 0) + ":" + arg(1, 0) + "]"; break;
    case ExprKind::kPattern: out = "'{" + list(expr.args, 0, expr.keys, false) + "}"; break;
    case ExprKind::kDollar: out = "$"; break;
    case ExprKind::kType: out = assertions::print(*expr.type); break;
    case ExprKind::kEvent: out = "@(" + expr.name + (expr.name.empty() ? "" : " ") + arg(0, 0) + ")"; break;
    case ExprKind::kEmpty: break;
  }
  return level(expr) < min_level ? "(" + out + ")" : out;
}

int level(const Prop& p) {
  switch (p.kind) {
    case PropKind::kOverlap: case PropKind::kNonOverlap: case PropKind::kFollowedBy: case PropKind::kFollowedByNext:
    case PropKind::kAlways: case PropKind::kSAlways: case PropKind::kEventually: case PropKind::kSEventually:
    case PropKind::kIf: case PropKind::kAcceptOn: case PropKind::kRejectOn: case PropKind::kSyncAcceptOn:
    case PropKind::kSyncRejectOn: case PropKind::kDisable: case PropKind::kClocked: return 1;
    case PropKind::kUntil: case PropKind::kSUntil: case PropKind::kUntilWith: case PropKind::kSUntilWith:
    case PropKind::kImplies: return 2;
    case PropKind::kIff: return 3;
    case PropKind::kOr: return 4;
    case PropKind::kAnd: return 5;
    case PropKind::kNot: case PropKind::kNextTime: case PropKind::kSNextTime: return 6;
    case PropKind::kIntersect: return 7;
    case PropKind::kWithin: return 8;
    case PropKind::kThroughout: return 9;
    case PropKind::kDelay: return 10;
    case PropKind::kRepeat: case PropKind::kGoto: case PropKind::kNonConsec: return 11;
    default: return 12;
  }
}

std::string range(const Prop& p) {
  return p.high ? print(*p.low, 0) + ":" + print(*p.high, 0) : print(*p.low, 0);
}

std::string print(const Prop& p, int min_level) {
  std::string out;
  const auto arg = [&](size_t i, int at) { return print(p.args[i], at); };
  const auto binary = [&](int left, int right) {
    return arg(0, left) + " " + std::string(spelling(p.kind)) + " " + arg(1, right);
  };
  switch (p.kind) {
    case PropKind::kBoolean:
      out = print(*p.expr, 0);
      if (min_level > 10 && level(*p.expr) < 14) out = "(" + out + ")";
      break;
    case PropKind::kInstance: {
      out = p.name + "(";
      const size_t positional = p.args.size() - p.items.size();
      for (size_t i = 0; i < p.args.size(); ++i) {
        if (i > 0) out += ", ";
        out += i < positional ? arg(i, 0) : "." + p.items[i - positional].name + "(" + arg(i, 0) + ")";
      }
      out += ")";
      break;
    }
    case PropKind::kDelay:
      if (p.args.size() == 2) out = arg(0, 10) + " ";
      if (p.high) {
        out += "##[" + range(p) + "]";
      } else {
        out += "##" + print(*p.low, 14);
      }
      out += " " + arg(p.args.size() - 1, 11);
      break;
    case PropKind::kRepeat: case PropKind::kGoto: case PropKind::kNonConsec:
      out = arg(0, 11) + std::string(spelling(p.kind)) + range(p) + "]";
      break;
    case PropKind::kThroughout: out = binary(10, 9); break;
    case PropKind::kWithin: out = binary(8, 9); break;
    case PropKind::kIntersect: out = binary(7, 8); break;
    case PropKind::kAnd: out = binary(5, 6); break;
    case PropKind::kOr: out = binary(4, 5); break;
    case PropKind::kIff: out = binary(4, 3); break;
    case PropKind::kUntil: case PropKind::kSUntil: case PropKind::kUntilWith: case PropKind::kSUntilWith:
    case PropKind::kImplies: out = binary(3, 2); break;
    case PropKind::kOverlap: case PropKind::kNonOverlap: case PropKind::kFollowedBy: case PropKind::kFollowedByNext:
      out = binary(2, 1);
      break;
    case PropKind::kFirstMatch:
      out = "first_match(" + arg(0, 0);
      for (const Expr& item : p.items) out += ", " + print(item, 0);
      out += ")";
      break;
    case PropKind::kClocked: out = assertions::print(*p.event) + " " + arg(0, 1); break;
    case PropKind::kStrong: case PropKind::kWeak: out = std::string(spelling(p.kind)) + "(" + arg(0, 0) + ")"; break;
    case PropKind::kNot: out = "not " + arg(0, 6); break;
    case PropKind::kNextTime: case PropKind::kSNextTime:
      out = std::string(spelling(p.kind)) + (p.low ? "[" + range(p) + "] " : " ") + arg(0, 6);
      break;
    case PropKind::kAlways: case PropKind::kSAlways: case PropKind::kEventually: case PropKind::kSEventually:
      out = std::string(spelling(p.kind)) + (p.low ? " [" + range(p) + "] " : " ") + arg(0, 1);
      break;
    case PropKind::kIf:
      out = "if (" + print(*p.expr, 0) + ") " + arg(0, p.args.size() > 1 ? 2 : 1);
      if (p.args.size() > 1) out += " else " + arg(1, 1);
      break;
    case PropKind::kCase:
      out = "case (" + print(*p.expr, 0) + ") ";
      for (size_t i = 0; i < p.args.size(); ++i) {
        if (p.labels[i].empty()) out += "default";
        else out += list(p.labels[i], 0, {}, false);
        out += ": " + arg(i, 0) + "; ";
      }
      out += "endcase";
      break;
    case PropKind::kAcceptOn: case PropKind::kRejectOn: case PropKind::kSyncAcceptOn: case PropKind::kSyncRejectOn:
    case PropKind::kDisable:
      out = std::string(spelling(p.kind)) + " (" + print(*p.expr, 0) + ") " + arg(0, 1);
      break;
    case PropKind::kAssigned:
      out = "(" + arg(0, 0);
      for (const Expr& item : p.items) {
        out += ", ";
        out += item.kind == ExprKind::kBinary && item.op == Op::kNone
                   ? print(item.args[0], 0) + " = " + print(item.args[1], 0)
                   : print(item, 0);
      }
      out += ")";
      break;
  }
  return level(p) < min_level ? "(" + out + ")" : out;
}

}  // namespace

std::string print(const Expr& expr) { return print(expr, 0); }
std::string print(const Prop& property) { return print(property, 0); }

std::string print(const ast::EventControl& event) {
  if (event.star) return "@(*)";
  std::string out = "@(";
  for (size_t i = 0; i < event.terms.size(); ++i) {
    const ast::EventTerm& term = event.terms[i];
    if (i > 0) out += " or ";
    if (term.edge == ast::Edge::kPos) out += "posedge ";
    if (term.edge == ast::Edge::kNeg) out += "negedge ";
    out += print(term.expr, 0);
    if (term.iff) out += " iff " + print(*term.iff, 0);
  }
  return out + ")";
}

}  // namespace callie::assertions
