#include "assertions/syntax/printer.h"

namespace callie::assertions {

using namespace ast;

namespace {

std::string pad(int indent) { return std::string(2 * static_cast<size_t>(indent), ' '); }

std::string dims(const std::vector<Dimension>& dimensions) {
  std::string out;
  for (const Dimension& d : dimensions) {
    out += "[";
    if (d.left) out += print(*d.left);
    if (d.right) out += ":" + print(*d.right);
    out += "]";
  }
  return out;
}

std::string declarator(const Declarator& d) {
  std::string out = d.name;
  if (!d.dims.empty()) out += " " + dims(d.dims);
  if (d.init) out += " = " + print(*d.init);
  if (d.type_init) out += " = " + print(*d.type_init);
  return out;
}

std::string declarators(const std::vector<Declarator>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) out += (i ? ", " : "") + declarator(names[i]);
  return out;
}

std::string_view direction(Direction d) {
  switch (d) {
    case Direction::kInput: return "input ";
    case Direction::kOutput: return "output ";
    case Direction::kInout: return "inout ";
    case Direction::kRef: return "ref ";
    case Direction::kNone: break;
  }
  return "";
}

// "type " with its trailing blank, or nothing.
std::string type_prefix(const DataType& type) {
  std::string out = print(type);
  if (!out.empty()) out += ' ';
  return out;
}

std::string formal(const Formal& f) {
  std::string out(direction(f.direction));
  if (f.is_net) out += "wire ";
  if (!f.kind.empty()) out += f.kind + " ";
  return out + type_prefix(f.type) + declarator(f.name);
}

std::string formals(const std::vector<Formal>& list, bool of_property) {
  std::string out = "(";
  for (size_t i = 0; i < list.size(); ++i) {
    Formal one = list[i];
    if (of_property) one.direction = Direction::kNone;
    out += (i ? ", " : "") + formal(one);
  }
  return out + ")";
}

std::string connections(const std::vector<Connection>& list) {
  std::string out = "(";
  for (size_t i = 0; i < list.size(); ++i) {
    const Connection& c = list[i];
    if (i) out += ", ";
    const std::string value = c.expr ? print(*c.expr) : c.type ? print(*c.type) : "";
    if (c.name == "*") out += ".*";
    else if (!c.name.empty()) out += "." + c.name + "(" + value + ")";
    else out += value;
  }
  return out + ")";
}

std::string_view keyword(CaseKind kind) {
  return kind == CaseKind::kCasez ? "casez" : kind == CaseKind::kCasex ? "casex" : "case";
}

std::string_view keyword(Uniqueness unique) {
  switch (unique) {
    case Uniqueness::kUnique: return "unique ";
    case Uniqueness::kUnique0: return "unique0 ";
    case Uniqueness::kPriority: return "priority ";
    case Uniqueness::kNone: break;
  }
  return "";
}

std::string expressions(const std::vector<Expr>& list) {
  std::string out;
  for (size_t i = 0; i < list.size(); ++i) out += (i ? ", " : "") + print(list[i]);
  return out;
}


// A statement that follows a header such as "if (x)": on the same line when it is a block, else on the next.
std::string body(const Stmt& s, int indent) {
  if (s.kind == StmtKind::kBlock) {
    std::string text = print(s, indent);
    return " " + text.substr(2 * static_cast<size_t>(indent));
  }
  return "\n" + print(s, indent + 1);
}

std::string assignment(const Stmt& s) {
  std::string out = print(*s.target) + " ";
  if (s.nonblocking) out += "<=";
  else out += std::string(spelling(s.op)) + "=";
  return out + " " + print(*s.expr);
}

std::string one_line(const Stmt& s) {
  std::string text = print(s, 0);
  while (!text.empty() && (text.back() == '\n' || text.back() == ';')) text.pop_back();
  return text;
}

std::string statement_list(const std::vector<Stmt>& list) {
  std::string out;
  for (size_t i = 0; i < list.size(); ++i) out += (i ? ", " : "") + one_line(list[i]);
  return out;
}

std::string print_case(const Stmt& s, int indent) {
  std::string out = std::string(keyword(s.unique)) + std::string(keyword(s.case_kind)) + " (" + print(*s.expr) + ")";
  if (s.case_kind == CaseKind::kInside) out += " inside";
  out += "\n";
  for (const CaseArm& arm : s.arms) {
    out += pad(indent + 1) + (arm.labels.empty() ? "default" : expressions(arm.labels)) + ":";
    out += body(arm.body[0], indent + 1);
  }
  return out + pad(indent) + "endcase\n";
}

}  // namespace

std::string print(const DataType& type) {
  std::string out;
  switch (type.kind) {
    case TypeKind::kImplicit: break;
    case TypeKind::kLogic: out = "logic"; break;
    case TypeKind::kReg: out = "reg"; break;
    case TypeKind::kBit: out = "bit"; break;
    case TypeKind::kByte: out = "byte"; break;
    case TypeKind::kShortInt: out = "shortint"; break;
    case TypeKind::kInt: out = "int"; break;
    case TypeKind::kLongInt: out = "longint"; break;
    case TypeKind::kInteger: out = "integer"; break;
    case TypeKind::kTime: out = "time"; break;
    case TypeKind::kString: out = "string"; break;
    case TypeKind::kReal: out = "real"; break;
    case TypeKind::kVoid: out = "void"; break;
    case TypeKind::kEvent: out = "event"; break;
    case TypeKind::kGenvar: out = "genvar"; break;
    case TypeKind::kTypeParameter: out = "type"; break;
    case TypeKind::kNamed: out = type.name; break;
    case TypeKind::kEnum:
      out = "enum ";
      if (type.base) out += type_prefix(*type.base);
      out += "{";
      for (size_t i = 0; i < type.members.size(); ++i) {
        out += (i ? ", " : "") + type.members[i].name;
        if (type.members[i].value) out += " = " + print(*type.members[i].value);
      }
      out += "}";
      break;
    case TypeKind::kStruct:
    case TypeKind::kUnion:
      out = type.kind == TypeKind::kStruct ? "struct " : "union ";
      if (type.packed) out += "packed ";
      if (type.has_sign) out += type.is_signed ? "signed " : "unsigned ";
      out += "{ ";
      for (const StructField& field : type.fields) out += type_prefix(field.type) + declarators(field.names) + "; ";
      out += "}";
      break;
  }
  if (type.has_sign && type.kind != TypeKind::kStruct && type.kind != TypeKind::kUnion) {
    out += std::string(out.empty() ? "" : " ") + (type.is_signed ? "signed" : "unsigned");
  }
  if (!type.dims.empty()) out += (out.empty() ? "" : " ") + dims(type.dims);
  return out;
}

std::string print(const Assertion& a) {
  std::string out = a.kind == AssertKind::kAssume     ? "assume"
                    : a.kind == AssertKind::kRestrict ? "restrict"
                    : a.kind == AssertKind::kAssert   ? "assert"
                                                      : "cover";
  if (a.concurrent) out += a.kind == AssertKind::kCoverSequence ? " sequence" : " property";
  if (a.final_deferred) out += " final";
  if (a.zero_deferred) out += " #0";
  out += " (" + (a.concurrent ? print(*a.property) : print(*a.expr)) + ")";
  if (!a.pass.empty()) out += " " + one_line(a.pass[0]) + (a.pass[0].kind == StmtKind::kBlock ? "" : ";");
  if (!a.fail.empty()) out += " else " + one_line(a.fail[0]) + (a.fail[0].kind == StmtKind::kBlock ? "" : ";");
  const bool ended = (!a.pass.empty() || !a.fail.empty());
  return ended ? out : out + ";";
}

std::string print(const Stmt& s, int indent) {
  std::string out = pad(indent);
  if (!s.label.empty() && s.kind != StmtKind::kBlock) out += s.label + ": ";
  switch (s.kind) {
    case StmtKind::kNull: return out + ";\n";
    case StmtKind::kBlock:
      out += "begin";
      if (!s.label.empty()) out += " : " + s.label;
      out += "\n";
      for (const Stmt& inner : s.body) out += print(inner, indent + 1);
      return out + pad(indent) + "end\n";
    case StmtKind::kIf: {
      out += std::string(keyword(s.unique)) + "if (" + print(*s.expr) + ")";
      const bool dangling = s.body.size() > 1 && s.body[0].kind != StmtKind::kBlock;
      if (dangling && s.body[0].kind == StmtKind::kIf && s.body[0].body.size() == 1) {
        // Only reachable for trees that no text gives; a block keeps the else where it belongs.
        Stmt block;
        block.kind = StmtKind::kBlock;
        block.body.push_back(s.body[0]);
        out += body(block, indent);
      } else {
        out += body(s.body[0], indent);
      }
      if (s.body.size() > 1) {
        out += pad(indent) + "else";
        if (s.body[1].kind == StmtKind::kIf && s.body[1].label.empty()) {
          out += " " + print(s.body[1], indent).substr(2 * static_cast<size_t>(indent));
        } else {
          out += body(s.body[1], indent);
        }
      }
      return out;
    }
    case StmtKind::kCase: return out + print_case(s, indent);
    case StmtKind::kAssign: return out + assignment(s) + ";\n";
    case StmtKind::kFor: {
      out += "for (" + statement_list(s.init) + "; " + (s.expr ? print(*s.expr) : "") + "; " +
             statement_list(s.step) + ")";
      return out + body(s.body[0], indent);
    }
    case StmtKind::kWhile: return out + "while (" + print(*s.expr) + ")" + body(s.body[0], indent);
    case StmtKind::kDoWhile: return out + "do" + body(s.body[0], indent) + pad(indent) + "while (" + print(*s.expr) + ");\n";
    case StmtKind::kRepeat: return out + "repeat (" + print(*s.expr) + ")" + body(s.body[0], indent);
    case StmtKind::kForever: return out + "forever" + body(s.body[0], indent);
    case StmtKind::kForeach: {
      out += "foreach (" + print(*s.expr) + "[";
      for (size_t i = 0; i < s.loop_vars.size(); ++i) out += (i ? ", " : "") + s.loop_vars[i];
      return out + "])" + body(s.body[0], indent);
    }
    case StmtKind::kDecl: return out + print(*s.decl, 0);
    case StmtKind::kCall: return out + print(*s.expr) + ";\n";
    case StmtKind::kAssert: return out + print(*s.assertion) + "\n";
    case StmtKind::kReturn: return out + (s.expr ? "return " + print(*s.expr) : "return") + ";\n";
    case StmtKind::kBreak: return out + "break;\n";
    case StmtKind::kContinue: return out + "continue;\n";
    case StmtKind::kTimed: return out + print(*s.event) + body(s.body[0], indent);
    case StmtKind::kDelay: return out + "#1" + body(s.body[0], indent);
    case StmtKind::kWait: return out + (s.expr ? "wait (" + print(*s.expr) + ")" + body(s.body[0], indent) : "wait fork;\n");
    case StmtKind::kOther: return out + ";\n";
  }
  return out;
}

std::string print(const Item& item, int indent) {
  const std::string in = pad(indent);
  std::string out = in;
  const auto block = [&](const Item& b, int at) {
    std::string text = "begin" + (b.name.empty() ? std::string() : " : " + b.name) + "\n";
    for (const Item& inner : b.items) text += print(inner, at + 1);
    return text + pad(at) + "end\n";
  };
  switch (item.kind) {
    case ItemKind::kDecl:
      out += std::string(direction(item.direction)) + (item.is_const ? "const " : "");
      if (item.is_net) out += item.name.empty() ? "wire " : item.name + " ";
      return out + type_prefix(item.type) + declarators(item.names) + ";\n";
    case ItemKind::kParameter:
      return out + (item.is_local ? "localparam " : "parameter ") + type_prefix(item.type) + declarators(item.names) + ";\n";
    case ItemKind::kTypedef: return out + "typedef " + type_prefix(item.type) + declarators(item.names) + ";\n";
    case ItemKind::kAssign:
      out += "assign ";
      for (size_t i = 0; i < item.assigns.size(); ++i) {
        out += (i ? ", " : "") + print(item.assigns[i].first) + " = " + print(item.assigns[i].second);
      }
      return out + ";\n";
    case ItemKind::kAlways:
    case ItemKind::kInitial:
    case ItemKind::kFinal: {
      std::string_view word = item.kind == ItemKind::kInitial ? "initial" : item.kind == ItemKind::kFinal ? "final" : "always";
      if (item.kind == ItemKind::kAlways) {
        if (item.always == AlwaysKind::kComb) word = "always_comb";
        if (item.always == AlwaysKind::kFf) word = "always_ff";
        if (item.always == AlwaysKind::kLatch) word = "always_latch";
      }
      out += word;
      const Stmt& s = item.body[0];
      if (s.kind == StmtKind::kTimed && s.label.empty()) return out + " " + print(*s.event) + body(s.body[0], indent);
      return out + body(s, indent);
    }
    case ItemKind::kInstance:
      out += item.name + " ";
      if (!item.parameters.empty()) out += "#" + connections(item.parameters) + " ";
      for (size_t i = 0; i < item.names.size(); ++i) {
        out += (i ? ", " : "") + declarator(item.names[i]) + " " + connections(item.ports[i]);
      }
      return out + ";\n";
    case ItemKind::kGenerateFor:
      return out + "for (genvar " + one_line(*item.init) + "; " + print(*item.expr) + "; " + one_line(*item.step) + ") " +
             block(item.items[0], indent);
    case ItemKind::kGenerateIf:
      out += "if (" + print(*item.expr) + ") " + block(item.items[0], indent);
      if (item.items.size() > 1) out += in + "else " + block(item.items[1], indent);
      return out;
    case ItemKind::kGenerateCase:
      out += "case (" + print(*item.expr) + ")\n";
      for (size_t i = 0; i < item.items.size(); ++i) {
        out += pad(indent + 1) + (item.labels[i].empty() ? "default" : expressions(item.labels[i])) + ": " +
               block(item.items[i], indent + 1);
      }
      return out + in + "endcase\n";
    case ItemKind::kGenerateBlock: return out + block(item, indent);
    case ItemKind::kGenvar: return out + "genvar " + declarators(item.names) + ";\n";
    case ItemKind::kFunction:
    case ItemKind::kTask: {
      const std::string word = item.kind == ItemKind::kTask ? "task" : "function";
      out += word + " automatic " + (item.kind == ItemKind::kTask ? "" : type_prefix(item.type)) + item.name +
             formals(item.formals, false) + ";\n";
      for (const Stmt& s : item.body) out += print(s, indent + 1);
      return out + in + "end" + word + "\n";
    }
    case ItemKind::kAssertion:
      if (!item.label.empty()) out += item.label + ": ";
      return out + print(*item.assertion) + "\n";
    case ItemKind::kProperty:
    case ItemKind::kSequence: {
      const std::string word = item.kind == ItemKind::kProperty ? "property" : "sequence";
      out += word + " " + item.name + (item.formals.empty() ? "" : formals(item.formals, true)) + ";\n";
      for (const Item& local : item.items) out += print(local, indent + 1);
      return out + pad(indent + 1) + print(*item.property) + ";\n" + in + "end" + word + "\n";
    }
    case ItemKind::kClocking:
      out += (item.is_default ? "default clocking" : "clocking") + (item.name.empty() ? "" : " " + item.name) + " " +
             print(*item.event) + ";\n";
      for (const Item& inner : item.items) out += print(inner, indent + 1);
      return out + in + "endclocking\n";
    case ItemKind::kDefaultClocking: return out + "default clocking " + item.name + ";\n";
    case ItemKind::kDefaultDisable: return out + "default disable iff (" + print(*item.expr) + ");\n";
    case ItemKind::kImport: return out + "import " + declarators(item.names) + ";\n";
    case ItemKind::kBind: return out + "bind " + item.name + " " + print(item.items[0], 0);
    case ItemKind::kOther: return {};
  }
  return out;
}

std::string print(const Module& module) {
  const std::string word = module.kind == Module::Kind::kPackage     ? "package"
                           : module.kind == Module::Kind::kInterface ? "interface"
                           : module.kind == Module::Kind::kProgram   ? "program"
                                                                     : "module";
  std::string out = word + " " + module.name;
  for (const Item& import : module.imports) out += "\n" + print(import, 1);
  if (!module.parameters.empty()) {
    out += " #(\n";
    for (size_t i = 0; i < module.parameters.size(); ++i) {
      std::string text = print(module.parameters[i], 1);
      text.resize(text.size() - 2);
      out += text + (i + 1 < module.parameters.size() ? ",\n" : "\n");
    }
    out += ")";
  }
  if (!module.ports.empty()) {
    out += " (\n";
    for (size_t i = 0; i < module.ports.size(); ++i) {
      out += "  " + formal(module.ports[i]) + (i + 1 < module.ports.size() ? ",\n" : "\n");
    }
    out += ")";
  }
  out += ";\n";
  for (const Item& item : module.items) out += print(item, 1);
  return out + "end" + word + "\n";
}

std::string print(const Unit& unit) {
  std::string out;
  for (const Item& item : unit.items) out += print(item, 0);
  for (const Module& module : unit.modules) out += print(module);
  return out;
}

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace callie::assertions
