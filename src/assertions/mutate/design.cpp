#include <functional>

#include "assertions/generate/expressions.h"
#include "assertions/mutate/mutate.h"

namespace callie::assertions {

using ast::Expr;
using ast::Item;
using ast::Stmt;
using ast::StmtKind;

namespace {

using Change = std::function<void()>;
using Visitor = std::function<void(const char* kind, const Change& change)>;

Stmt& as_block(Stmt& s) {
  if (s.kind != StmtKind::kBlock) {
    Stmt block;
    block.kind = StmtKind::kBlock;
    block.body.push_back(std::move(s));
    s = std::move(block);
  }
  return s;
}

// Offers every change below `s`, innermost last.
void visit(Stmt& s, const Visitor& offer) {
  switch (s.kind) {
    case StmtKind::kBlock:
      for (size_t i = 0; i < s.body.size(); ++i) {
        std::vector<Stmt>& list = s.body;
        if (list[i].kind == StmtKind::kAssign) {
          offer("delete-statement", [&list, i] { list.erase(list.begin() + static_cast<std::ptrdiff_t>(i)); });
        }
        if (i + 1 < list.size()) {
          offer("move-statement", [&list, i] { std::swap(list[i], list[i + 1]); });
          if (list[i].kind == StmtKind::kIf && list[i + 1].kind == StmtKind::kIf) {
            offer("nest-sibling", [&list, i] {
              as_block(list[i].body[0]).body.push_back(std::move(list[i + 1]));
              list.erase(list.begin() + static_cast<std::ptrdiff_t>(i) + 1);
            });
          }
        }
      }
      break;
    case StmtKind::kIf:
      offer("negate-condition", [&s] { s.expr = negation(*s.expr); });
      if (s.body.size() > 1) {
        offer("swap-arms", [&s] { std::swap(s.body[0], s.body[1]); });
        offer("move-statement", [&s] {
          Stmt& from = as_block(s.body[0]);
          if (from.body.empty()) return;
          Stmt& to = as_block(s.body[1]);
          to.body.insert(to.body.begin(), std::move(from.body.back()));
          from.body.pop_back();
        });
      }
      break;
    case StmtKind::kCase:
      for (size_t i = 0; i + 1 < s.arms.size(); ++i) {
        offer("swap-arms", [&s, i] { std::swap(s.arms[i].body, s.arms[i + 1].body); });
      }
      break;
    case StmtKind::kAssign:
      offer("stuck-rhs", [&s] {
        Expr zero;
        zero.number = ast::make_number(1, 0, 'b');
        zero.number->fill = true;
        zero.number->sized = false;
        zero.number->is_signed = false;
        s.expr = std::move(zero);
      });
      break;
    default: break;
  }
  for (Stmt& inner : s.body) visit(inner, offer);
  for (ast::CaseArm& arm : s.arms) {
    for (Stmt& inner : arm.body) visit(inner, offer);
  }
}

bool holds_assertion(const Stmt& s) {
  if (s.kind == StmtKind::kAssert) return true;
  for (const Stmt& inner : s.body) {
    if (holds_assertion(inner)) return true;
  }
  for (const ast::CaseArm& arm : s.arms) {
    for (const Stmt& inner : arm.body) {
      if (holds_assertion(inner)) return true;
    }
  }
  return false;
}

void visit(ast::Module& module, const Visitor& offer) {
  for (Item& item : module.items) {
    if (item.kind != ast::ItemKind::kAlways || item.body.empty() || holds_assertion(item.body[0])) continue;
    visit(item.body[0], offer);
  }
}

}  // namespace

std::vector<std::string> design_mutation_sites(const ast::Module& module) {
  std::vector<std::string> out;
  ast::Module copy = module;
  visit(copy, [&](const char* kind, const Change&) { out.emplace_back(kind); });
  return out;
}

ast::Module mutate_design(const ast::Module& module, size_t site) {
  ast::Module out = module;
  // The change is made behind the visit, which would otherwise walk through what it changes.
  Change chosen;
  size_t at = 0;
  visit(out, [&](const char*, const Change& change) {
    if (at++ == site) chosen = change;
  });
  if (chosen) chosen();
  return out;
}

}  // namespace callie::assertions
