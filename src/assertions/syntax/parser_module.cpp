#include "assertions/syntax/parser_impl.h"

namespace callie::assertions {

using ast::Item;
using ast::ItemKind;

void Parser::parse_unit(ast::Unit& unit) {
  while (peek().kind != TokenKind::kEnd) {
    skip_attributes();
    if (at("module") || at("macromodule") || at("package") || at("interface") || at("program")) {
      unit.modules.push_back(parse_module());
    } else if (peek().kind == TokenKind::kEnd) {
      break;
    } else {
      parse_item(unit.items);
    }
  }
}

ast::Module Parser::parse_module() {
  const size_t begin = position_;
  ast::Module out;
  const std::string_view word = advance().text;
  out.kind = word == "package"     ? ast::Module::Kind::kPackage
             : word == "interface" ? ast::Module::Kind::kInterface
             : word == "program"   ? ast::Module::Kind::kProgram
                                   : ast::Module::Kind::kModule;
  const std::string end = "end" + std::string(word == "macromodule" ? "module" : word);
  if (at("automatic") || at("static")) advance();
  out.name = expect_name("a name", &out.name_span);
  while (at("import")) out.imports.push_back(parse_import());
  if (accept("#")) {
    expect("(", "of the parameters");
    if (!at(")")) {
      do parse_parameter_names(out.parameters, true);
      while (accept(","));
    }
    expect(")", "after the parameters");
  }
  if (at("(")) parse_ports(out);
  expect(";", fmt::format("after the header of '{}'", out.name));
  parse_items_until(out.items, end);
  out.end_span = peek().span;
  expect(end, "");
  end_label(out.name);
  out.span = since(begin);
  return out;
}

void Parser::parse_ports(ast::Module& module) {
  expect("(", "of the ports");
  if (accept(")")) return;
  if (at(".*")) fail(peek().span, "'.*' ports are not part of the subset");
  skip_attributes();
  // Names only: the directions follow in the body.
  if (is_name() && (is(peek(1), ",") || is(peek(1), ")"))) {
    module.ansi = false;
    do {
      ast::Formal port;
      port.name.name = expect_name("a port", &port.name.span);
      module.ports.push_back(std::move(port));
    } while (accept(","));
    expect(")", "after the ports");
    return;
  }
  ast::Formal last;
  last.direction = ast::Direction::kInout;
  do {
    skip_attributes();
    ast::Formal port;
    bool own = false;
    if (at("input") || at("output") || at("inout") || at("ref")) {
      const std::string_view word = advance().text;
      port.direction = word == "input"    ? ast::Direction::kInput
                       : word == "output" ? ast::Direction::kOutput
                       : word == "inout"  ? ast::Direction::kInout
                                          : ast::Direction::kRef;
      own = true;
    } else {
      port.direction = last.direction;
    }
    if (at("wire") || at("tri") || at("uwire")) {
      advance();
      port.is_net = true;
      own = true;
    } else if (accept("var")) {
      own = true;
    }
    if (at("interface")) fail(peek().span, "interface ports are not part of the subset");
    ast::DataType type = parse_type(true);
    if (type.kind == ast::TypeKind::kNamed && type.name.find('.') != std::string::npos) {
      fail(type.span, fmt::format("interface port '{}' is not part of the subset", type.name));
    }
    if (own || type.kind != ast::TypeKind::kImplicit || type.has_sign || !type.dims.empty()) {
      port.type = std::move(type);
    } else {
      port.type = last.type;
      port.is_net = last.is_net;
    }
    port.name = parse_declarator(true);
    last = port;
    module.ports.push_back(std::move(port));
  } while (accept(","));
  expect(")", "after the ports");
}

void Parser::parse_items_until(std::vector<Item>& out, std::string_view end) {
  const Span begin = peek().span;
  while (!at(end)) {
    if (peek().kind == TokenKind::kEnd) fail(begin, fmt::format("no '{}' behind this", end));
    if (at("module") || at("endmodule") || at("endpackage") || at("endgenerate")) {
      fail_here(fmt::format("'{}'", end));
    }
    parse_item(out);
  }
}

void Parser::parse_item(std::vector<Item>& out) {
  Nest nest(*this);
  skip_attributes();
  if (accept(";")) return;
  const size_t begin = position_;
  const auto add = [&](Item item) {
    item.span = since(begin);
    out.push_back(std::move(item));
  };
  if (at("generate")) {
    advance();
    parse_items_until(out, "endgenerate");
    advance();
    return;
  }
  if (at("parameter") || at("localparam")) return add(parse_parameter());
  if (at("typedef")) return add(parse_typedef());
  if (at("always") || at("always_comb") || at("always_ff") || at("always_latch") || at("initial") || at("final")) {
    return add(parse_always());
  }
  if (at("assign")) {
    advance();
    Item item;
    item.kind = ItemKind::kAssign;
    if (at("#")) skip_delay();
    do {
      ast::Expr target = parse_lvalue();
      expect("=", "of the assignment");
      item.assigns.emplace_back(std::move(target), parse_expression());
    } while (accept(","));
    expect(";", "after the assignment");
    return add(std::move(item));
  }
  if (at("genvar")) {
    advance();
    Item item;
    item.kind = ItemKind::kGenvar;
    do item.names.push_back(parse_declarator(false));
    while (accept(","));
    expect(";", "after the genvar");
    return add(std::move(item));
  }
  if (at("for")) return add(parse_generate_for());
  if (at("if")) return add(parse_generate_if());
  if (at("case")) return add(parse_generate_case());
  if (at("begin")) return add(parse_generate_block());
  if (at("function") || at("task")) return add(parse_function());
  if (at("property") || at("sequence")) return add(parse_property_declaration());
  if (at("default")) return add(parse_default());
  if (at("clocking") || at("global")) return add(parse_clocking(false));
  if (at("import") || at("export")) return add(parse_import());
  if (at("bind")) return add(parse_bind());
  if (at_gate()) return add(parse_gates());
  if (at_assertion()) return add(parse_assertion_item());
  if (is_name() && is(peek(1), ":") && (is(peek(2), "assert") || is(peek(2), "assume") || is(peek(2), "cover") ||
                                        is(peek(2), "restrict"))) {
    return add(parse_assertion_item());
  }
  static constexpr std::pair<std::string_view, std::string_view> kSkipped[] = {
      {"covergroup", "endgroup"}, {"class", "endclass"}, {"specify", "endspecify"}, {"checker", "endchecker"},
      {"primitive", "endprimitive"}, {"config", "endconfig"}, {"virtual", "endclass"}};
  for (const auto& [word, end] : kSkipped) {
    if (at(word)) return add(parse_other(word, end));
  }
  static constexpr std::string_view kLines[] = {
      "modport", "timeunit", "timeprecision", "defparam", "let", "alias", "specparam", "nettype", "bufif0", "bufif1",
      "notif0", "notif1", "pullup", "pulldown", "tran", "extern"};
  for (std::string_view word : kLines) {
    if (at(word)) return add(parse_other(word, ";"));
  }
  if (peek().kind == TokenKind::kSystem) return add(parse_other(peek().text, ";"));  // elaboration tasks
  if (is_name()) {
    const bool is_instance = is(peek(1), "#") || (is_name(1) && (is(peek(2), "(") || is(peek(2), "[")));
    if (is_instance) {
      // `t name [2];` declares; `m name [2] (...)` and `m name (...)` instantiate.
      size_t after = 2;
      if (!is(peek(1), "#")) {
        while (is(peek(after), "[")) {
          const size_t next = skip_brackets(after);
          if (next == after) break;
          after = next;
        }
      }
      if (is(peek(1), "#") || is(peek(after), "(")) return add(parse_instance());
    }
  }
  if (at_type_keyword() || is_name() || at("wire") || at("tri") || at("wand") || at("wor") || at("tri0") ||
      at("tri1") || at("supply0") || at("supply1") || at("uwire") || at("triand") || at("trior") || at("var") ||
      at("const") || at("static") || at("automatic") || at("input") || at("output") || at("inout") || at("signed") ||
      at("unsigned")) {
    return add(parse_declaration());
  }
  fail_here("a declaration, assignment, process, instance or assertion");
}

Item Parser::parse_always() {
  Item out;
  const std::string_view word = advance().text;
  out.kind = word == "initial" ? ItemKind::kInitial : word == "final" ? ItemKind::kFinal : ItemKind::kAlways;
  out.always = word == "always_comb"    ? ast::AlwaysKind::kComb
               : word == "always_ff"    ? ast::AlwaysKind::kFf
               : word == "always_latch" ? ast::AlwaysKind::kLatch
                                        : ast::AlwaysKind::kAlways;
  out.body.push_back(parse_statement());
  return out;
}

bool Parser::next_always(Item& out) {
  for (; peek().kind != TokenKind::kEnd; advance()) {
    const bool sure = at("always_comb") || at("always_ff") || at("always_latch");
    // Plain `always` is an operator of properties, too.
    if (!sure && !(at("always") && (is(peek(1), "@") || is(peek(1), "begin")))) continue;
    const size_t begin = position_;
    depth_ = 0;
    try {
      out = parse_always();
      out.span = since(begin);
    } catch (const SourceError& problem) {
      out = {};
      out.name = problem.message;
      out.span = problem.span;
      position_ = begin;
      advance();
    }
    return true;
  }
  return false;
}

bool Parser::at_name_begin() const { return is(peek(1), ":") && is(peek(2), "begin"); }

Item Parser::parse_function() {
  Item out;
  const std::string_view word = advance().text;
  out.kind = word == "task" ? ItemKind::kTask : ItemKind::kFunction;
  while (at("automatic") || at("static")) advance();
  if (word == "function") {
    if (at("new")) fail(peek().span, "classes are not part of the subset");
    out.type = parse_type(true);
  } else {
    out.type.kind = ast::TypeKind::kVoid;
  }
  out.name = expect_name("a name", &out.name_span);
  if (at(".") || at("::")) fail(peek().span, "methods are not part of the subset");
  out.formals = parse_formals(false);
  expect(";", "after the header");
  const std::string end = "end" + std::string(word);
  const Span begin = peek().span;
  while (!at(end)) {
    if (peek().kind == TokenKind::kEnd || at("endmodule")) fail(begin, fmt::format("no '{}' behind this", end));
    if (at("input") || at("output") || at("inout")) {  // arguments in the old style
      const Item decl = parse_declaration();
      for (const ast::Declarator& name : decl.names) {
        ast::Formal formal;
        formal.direction = decl.direction;
        formal.type = decl.type;
        formal.name = name;
        out.formals.push_back(std::move(formal));
      }
      continue;
    }
    out.body.push_back(parse_statement());
  }
  advance();
  end_label(out.name);
  return out;
}

Item Parser::parse_property_declaration() {
  Item out;
  const bool is_property = advance().text == "property";
  out.kind = is_property ? ItemKind::kProperty : ItemKind::kSequence;
  out.name = expect_name("a name", &out.name_span);
  out.formals = parse_formals(true);
  expect(";", "after the header");
  const std::string_view end = is_property ? "endproperty" : "endsequence";
  if (at_type_keyword() || at("var")) {
    const Span at_local = peek().span;
    Item locals = parse_declaration();
    locals.span = at_local;
    out.items.push_back(std::move(locals));
    while (at_type_keyword()) out.items.push_back(parse_declaration());
  }
  out.property = parse_property();
  if (!at(end)) expect(";", fmt::format("or '{}' after the {}", end, is_property ? "property" : "sequence"));
  if (!at(end)) fail_here(fmt::format("'{}'", end));
  advance();
  end_label(out.name);
  return out;
}

Item Parser::parse_default() {
  expect("default", "");
  if (at("clocking")) return parse_clocking(true);
  Item out;
  out.kind = ItemKind::kDefaultDisable;
  expect("disable", "after 'default'");
  expect("iff", "after 'disable'");
  out.expr = parse_expression();
  expect(";", "after 'default disable iff'");
  return out;
}

Item Parser::parse_clocking(bool is_default) {
  Item out;
  out.kind = ItemKind::kClocking;
  out.is_default = is_default;
  if (at("global")) fail(peek().span, "global clocking is not part of the subset");
  expect("clocking", "");
  if (is_name()) out.name = std::string(advance().text);
  if (is_default && at(";")) {  // default clocking NAME;
    advance();
    out.kind = ItemKind::kDefaultClocking;
    return out;
  }
  out.event = parse_event_control();
  expect(";", "after the clocking event");
  while (!at("endclocking")) {
    if (peek().kind == TokenKind::kEnd || at("endmodule")) fail_here("'endclocking'");
    if (at("property") || at("sequence")) {
      out.items.push_back(parse_property_declaration());
      continue;
    }
    while (!at(";")) {  // directions and skews of testbench signals
      if (peek().kind == TokenKind::kEnd) fail_here("';'");
      advance();
    }
    advance();
  }
  advance();
  end_label(out.name);
  return out;
}

Item Parser::parse_import() {
  Item out;
  const size_t begin = position_;
  const bool is_export = advance().text == "export";
  if (is_export || peek().kind == TokenKind::kString) {
    out.kind = ItemKind::kOther;
    out.name = is_export ? "export" : "import \"DPI-C\"";
    while (!at(";")) {
      if (peek().kind == TokenKind::kEnd) fail_here("';'");
      advance();
    }
    advance();
    return out;
  }
  out.kind = ItemKind::kImport;
  do {
    ast::Declarator what;
    what.name = expect_name("a package", &what.span);
    expect("::", "of the import");
    what.name += "::" + (accept("*") ? std::string("*") : expect_name("a name"));
    out.names.push_back(std::move(what));
  } while (accept(","));
  expect(";", "after the import");
  out.span = since(begin);
  return out;
}

Item Parser::parse_assertion_item() {
  Item out;
  out.kind = ItemKind::kAssertion;
  if (is_name()) {
    out.label = expect_name("a label", &out.name_span);
    advance();
  }
  out.assertion = parse_assertion();
  return out;
}

// A construct outside of the subset: kept by name, its text skipped.
Item Parser::parse_other(std::string_view keyword, std::string_view end) {
  Item out;
  out.kind = ItemKind::kOther;
  out.name = std::string(keyword);
  skip_to(end);
  if (end != ";") end_label({});
  return out;
}

}  // namespace callie::assertions
