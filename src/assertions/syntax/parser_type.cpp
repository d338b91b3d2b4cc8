#include "assertions/syntax/parser_impl.h"

namespace callie::assertions {

using ast::DataType;
using ast::Dimension;
using ast::Item;
using ast::ItemKind;
using ast::TypeKind;

namespace {

TypeKind builtin(std::string_view word) {
  if (word == "logic") return TypeKind::kLogic;
  if (word == "reg") return TypeKind::kReg;
  if (word == "bit") return TypeKind::kBit;
  if (word == "byte") return TypeKind::kByte;
  if (word == "shortint") return TypeKind::kShortInt;
  if (word == "int") return TypeKind::kInt;
  if (word == "longint") return TypeKind::kLongInt;
  if (word == "integer") return TypeKind::kInteger;
  if (word == "time") return TypeKind::kTime;
  if (word == "string") return TypeKind::kString;
  if (word == "event") return TypeKind::kEvent;
  return TypeKind::kReal;
}

bool is_net_keyword(std::string_view word) {
  return word == "wire" || word == "tri" || word == "wand" || word == "wor" || word == "tri0" || word == "tri1" ||
         word == "supply0" || word == "supply1" || word == "uwire" || word == "triand" || word == "trior";
}

}  // namespace

std::vector<Dimension> Parser::parse_dimensions() {
  std::vector<Dimension> out;
  while (at("[")) {
    const Span begin = advance().span;
    Dimension dimension;
    if (!at("]")) {
      if (at("$")) fail(begin, "queues are not part of the subset");
      if (at("*")) fail(begin, "associative arrays are not part of the subset");
      dimension.left = parse_expression();
      if (accept(":")) dimension.right = parse_expression();
    }
    expect("]", "of the range");
    out.push_back(std::move(dimension));
    if (out.size() > 16) fail(begin, "more than 16 dimensions");
  }
  return out;
}

DataType Parser::parse_type(bool allow_implicit) {
  Nest nest(*this);
  const size_t begin = position_;
  if (at("enum")) return parse_enum();
  if (at("struct") || at("union")) return parse_struct();
  DataType out;
  if (at_type_keyword()) {
    out.kind = builtin(advance().text);
  } else if (at("void")) {
    advance();
    out.kind = TypeKind::kVoid;
  } else if (at("genvar")) {
    advance();
    out.kind = TypeKind::kGenvar;
  } else if (is_name() && (!allow_implicit || is_name(1) || is(peek(1), "::") || is(peek(1), "[") || is(peek(1), "."))) {
    // With an implicit type the name may be the declared one: `input [3:0] a`, `input a [2]`.
    bool is_type = true;
    if (allow_implicit && is(peek(1), "[")) {
      size_t after = 1;
      while (is(peek(after), "[")) after = skip_brackets(after);
      is_type = is_name(after);
    }
    if (is_type) {
      out.kind = TypeKind::kNamed;
      out.name = std::string(advance().text);
      while (at("::")) {
        advance();
        out.name += "::" + expect_name("a type's name");
      }
      if (at(".") && is_name(1)) {
        advance();
        out.name += "." + std::string(advance().text);
      }
    }
  } else if (!allow_implicit) {
    fail_here("a type");
  }
  if (at("signed") || at("unsigned")) {
    out.has_sign = true;
    out.is_signed = advance().text == "signed";
  }
  out.dims = parse_dimensions();
  out.span = since(begin);
  return out;
}

DataType Parser::parse_enum() {
  const size_t begin = position_;
  expect("enum", "");
  DataType out;
  out.kind = TypeKind::kEnum;
  if (!at("{")) out.base = parse_type(!is_name());  // a name is a type here
  expect("{", "of the enum");
  do {
    ast::EnumMember member;
    member.name = expect_name("an enum label", &member.span);
    if (at("[")) fail(peek().span, "enum label ranges are not part of the subset");
    if (accept("=")) member.value = parse_expression();
    out.members.push_back(std::move(member));
  } while (accept(","));
  expect("}", "of the enum");
  out.dims = parse_dimensions();
  out.span = since(begin);
  return out;
}

DataType Parser::parse_struct() {
  const size_t begin = position_;
  DataType out;
  out.kind = advance().text == "struct" ? TypeKind::kStruct : TypeKind::kUnion;
  if (at("tagged")) fail(peek().span, "tagged unions are not part of the subset");
  if (accept("packed")) out.packed = true;
  if (at("signed") || at("unsigned")) {
    out.has_sign = true;
    out.is_signed = advance().text == "signed";
  }
  expect("{", "of the members");
  while (!at("}")) {
    if (peek().kind == TokenKind::kEnd) fail_here("'}' of the members");
    skip_attributes();
    ast::StructField field;
    field.type = parse_type(false);
    do field.names.push_back(parse_declarator(true));
    while (accept(","));
    expect(";", "after the member");
    out.fields.push_back(std::move(field));
  }
  advance();
  out.dims = parse_dimensions();
  out.span = since(begin);
  return out;
}

ast::Declarator Parser::parse_declarator(bool with_init) {
  ast::Declarator out;
  out.name = expect_name("a name", &out.span);
  out.dims = parse_dimensions();
  if (with_init && accept("=")) out.init = parse_expression();
  return out;
}

// In statement position: does a declaration start here?
bool Parser::at_declaration() const {
  if (at("automatic") || at("static") || at("const") || at("var") || at("localparam") || at("parameter") ||
      at("typedef")) {
    return true;
  }
  if (at_type_keyword()) return !is(peek(1), "'");
  if (!is_name()) return false;
  size_t after = 1;
  while (is(peek(after), "::") && is_name(after + 1)) after += 2;
  while (is(peek(after), "[")) {
    const size_t next = skip_brackets(after);
    if (next == after) return false;
    after = next;
  }
  return is_name(after) && !is(peek(after + 1), "(") ;
}

Item Parser::parse_declaration() {
  const size_t begin = position_;
  Item out;
  out.kind = ItemKind::kDecl;
  for (;;) {
    if (at("const")) out.is_const = true;
    else if (!at("automatic") && !at("static") && !at("var")) break;
    advance();
  }
  if (at("input") || at("output") || at("inout") || at("ref")) {
    const std::string_view word = advance().text;
    out.direction = word == "input"    ? ast::Direction::kInput
                    : word == "output" ? ast::Direction::kOutput
                    : word == "inout"  ? ast::Direction::kInout
                                       : ast::Direction::kRef;
  }
  if (peek().kind == TokenKind::kKeyword && is_net_keyword(peek().text)) {
    out.is_net = true;
    const std::string_view word = advance().text;
    if (word != "wire" && word != "tri" && word != "uwire") out.name = std::string(word);
  } else {
    accept("var");
  }
  if (at("#")) skip_delay();
  out.type = parse_type(true);
  if (at("#")) skip_delay();
  do out.names.push_back(parse_declarator(true));
  while (accept(","));
  expect(";", "after the declaration");
  out.span = since(begin);
  return out;
}

void Parser::parse_parameter_names(std::vector<Item>& out, bool in_header) {
  const size_t begin = position_;
  Item item;
  item.kind = ItemKind::kParameter;
  if (at("parameter") || at("localparam")) item.is_local = advance().text == "localparam";
  else if (!out.empty()) item.is_local = out.back().is_local;
  if (accept("type")) {
    item.type.kind = TypeKind::kTypeParameter;
    do {
      ast::Declarator name;
      name.name = expect_name("a type parameter's name", &name.span);
      if (accept("=")) name.type_init = parse_type(false);
      item.names.push_back(std::move(name));
    } while (at(",") && is_name(1) && is(peek(2), "=") && accept(","));
  } else {
    item.type = parse_type(true);
    item.names.push_back(parse_declarator(true));
    while (at(",") && is_name(1) && (is(peek(2), "=") || is(peek(2), ",") || is(peek(2), ")") || !in_header)) {
      advance();
      item.names.push_back(parse_declarator(true));
    }
  }
  item.span = since(begin);
  out.push_back(std::move(item));
}

Item Parser::parse_parameter() {
  std::vector<Item> out;
  parse_parameter_names(out, false);
  expect(";", "after the parameter");
  return std::move(out[0]);
}

Item Parser::parse_typedef() {
  const size_t begin = position_;
  expect("typedef", "");
  Item out;
  out.kind = ItemKind::kTypedef;
  if (at("class") || at("interface")) fail(peek().span, "class and interface types are not part of the subset");
  const bool has_kind = at("enum") || at("struct") || at("union");
  if (is_name(has_kind) && is(peek(1 + has_kind), ";")) {  // forward declaration
    for (int n = 0; n < 2 + has_kind; ++n) advance();
    out.kind = ItemKind::kOther;
    out.name = "typedef";
    return out;
  }
  out.type = parse_type(false);
  out.names.push_back(parse_declarator(false));
  expect(";", "after the typedef");
  out.span = since(begin);
  return out;
}

std::vector<ast::Formal> Parser::parse_formals(bool of_property) {
  std::vector<ast::Formal> out;
  if (!accept("(")) return out;
  if (accept(")")) return out;
  ast::Formal last;
  last.direction = ast::Direction::kInput;
  last.untyped = true;
  do {
    skip_attributes();
    ast::Formal formal = last;
    formal.name = {};
    bool typed = false;
    if (accept("const")) {}
    if (at("local") && of_property) fail(peek().span, "local variable formals are not part of the subset");
    if (at("input") || at("output") || at("inout") || at("ref")) {
      const std::string_view word = advance().text;
      formal.direction = word == "input"    ? ast::Direction::kInput
                         : word == "output" ? ast::Direction::kOutput
                         : word == "inout"  ? ast::Direction::kInout
                                            : ast::Direction::kRef;
      formal.type = {};
      formal.untyped = true;
    }
    accept("var");
    if (of_property && (at("property") || at("sequence") || at("event") || at("untyped"))) {
      formal.kind = std::string(advance().text);
      formal.untyped = true;
      formal.type = {};
    } else {
      DataType type = parse_type(true);
      typed = type.kind != TypeKind::kImplicit || type.has_sign || !type.dims.empty();
      if (typed) {
        formal.type = std::move(type);
        formal.untyped = false;
        formal.kind.clear();
      }
    }
    formal.name = parse_declarator(!of_property);
    if (of_property && at("=")) {
      advance();
      formal.name.init = at("$") ? parse_primary() : parse_expression();
    }
    last = formal;
    out.push_back(std::move(formal));
  } while (accept(","));
  expect(")", "after the arguments");
  return out;
}

}  // namespace callie::assertions
