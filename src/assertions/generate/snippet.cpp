#include "assertions/generate/snippet.h"

#include "assertions/generate/expressions.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Expr;
using ast::Item;
using ast::ItemKind;

ast::DataType logic_type(int width) {
  ast::DataType type;
  type.kind = ast::TypeKind::kLogic;
  if (width > 1) {
    const auto number = [](int n) {
      Expr out;
      out.number = ast::make_number(32, static_cast<uint64_t>(n), 'd');
      out.number->is_signed = true;
  out.number->sized = false;
      return out;
    };
    ast::Dimension dimension;
    dimension.left = number(width - 1);
    dimension.right = number(0);
    type.dims.push_back(dimension);
  }
  return type;
}

std::map<std::string, int> Snippet::widths() const {
  std::map<std::string, int> out;
  for (const Signal& s : signals) {
    out[s.name] = s.width;
    for (const std::string& member : s.members) out[member] = s.width;
  }
  if (!clock.empty()) out[clock] = 1;
  if (reset) out[reset->name] = 1;
  return out;
}

ast::EventControl Snippet::event(bool other_edge) const {
  ast::EventControl out;
  ast::EventTerm term;
  term.edge = negedge != other_edge ? ast::Edge::kNeg : ast::Edge::kPos;
  term.expr = ast::make_name(clock);
  out.terms.push_back(term);
  return out;
}

std::optional<Expr> Snippet::reset_active() const {
  if (!reset) return std::nullopt;
  Expr name = ast::make_name(reset->name);
  return reset->level ? name : ast::make_unary(ast::Op::kNot, std::move(name));
}

ast::Module Snippet::module(const std::vector<Item>& extra, bool free) const {
  ast::Module out;
  out.name = module_name;
  const auto port = [&](const std::string& name, ast::Direction direction, ast::DataType type) {
    ast::Formal formal;
    formal.direction = direction;
    formal.type = std::move(type);
    formal.name.name = name;
    out.ports.push_back(std::move(formal));
  };
  if (!clock.empty()) port(clock, ast::Direction::kInput, logic_type(1));
  if (reset) port(reset->name, ast::Direction::kInput, logic_type(1));
  for (const Signal& s : signals) {
    if (s.direction == ast::Direction::kNone && !free) continue;
    port(s.name, free ? ast::Direction::kInput : s.direction, logic_type(s.width));
  }
  out.items = types;
  if (!free) {
    for (const Signal& s : signals) {
      if (s.direction != ast::Direction::kNone) continue;
      Item decl;
      decl.kind = ItemKind::kDecl;
      if (s.type_name.empty()) {
        decl.type = logic_type(s.width);
      } else {
        decl.type.kind = ast::TypeKind::kNamed;
        decl.type.name = s.type_name;
      }
      decl.names.emplace_back();
      decl.names[0].name = s.name;
      out.items.push_back(std::move(decl));
    }
    out.items.insert(out.items.end(), processes.begin(), processes.end());
  }
  out.items.insert(out.items.end(), extra.begin(), extra.end());
  return out;
}

std::string Snippet::code() const {
  std::string out;
  for (const Item& item : types) out += print(item);
  for (const Item& item : processes) out += print(item);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace callie::assertions
