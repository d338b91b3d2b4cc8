#include "assertions/judge/assignments.h"

#include "assertions/syntax/walk.h"

namespace callie::assertions {
namespace {

using ast::Stmt;
using ast::StmtKind;

class Collector {
 public:
  explicit Collector(ModuleStructure& out) : out_(out) {}

  void item(const ast::Item& item) {
    if (item.kind == ast::ItemKind::kAssign) {
      ++process_;
      clocked_ = false;
      for (const auto& [target, source] : item.assigns) add(target, source, false, target.span);
    } else if (item.kind == ast::ItemKind::kAlways) {
      ++process_;
      begin_process(item);
      statement(item.body[0]);
      finish_process();
    }
    for (const ast::Item& inner : item.items) this->item(inner);
  }

 private:
  void begin_process(const ast::Item& item) {
    clocked_ = false;
    first_ = out_.assignments.size();
    locals_.clear();
    const Stmt& body = item.body[0];
    if (body.kind != StmtKind::kTimed || !body.event) return;
    std::vector<const ast::EventTerm*> edges;
    for (const ast::EventTerm& term : body.event->terms) {
      if (term.edge != ast::Edge::kAny) edges.push_back(&term);
    }
    if (edges.empty()) return;
    clocked_ = true;
    // The reset is the edge whose signal the first condition reads; the clock is the other one.
    const Stmt* top = body.body.empty() ? nullptr : &body.body[0];
    while (top && top->kind == StmtKind::kBlock && top->body.size() == 1) top = &top->body[0];
    std::set<std::string> read;
    if (top && top->kind == StmtKind::kIf && edges.size() > 1) read = names_in(*top->expr);
    for (const ast::EventTerm* edge : edges) {
      if (edge->expr.kind != ast::ExprKind::kName) continue;
      if (read.contains(edge->expr.name)) out_.resets.push_back({edge->expr.name, edge->edge == ast::Edge::kPos});
      else out_.clocks.push_back((edge->edge == ast::Edge::kPos ? "posedge " : "negedge ") + edge->expr.name);
    }
  }

  void finish_process() {
    if (!clocked_ || out_.mixes) return;
    bool blocking = false, nonblocking = false;
    for (size_t i = first_; i < out_.assignments.size(); ++i) {
      const Assignment& a = out_.assignments[i];
      if (locals_.contains(a.target)) continue;
      (a.nonblocking ? nonblocking : blocking) = true;
      if (blocking && nonblocking) {
        out_.mixes = true;
        out_.mixed_at = a.span;
        return;
      }
    }
  }

  void add(const ast::Expr& target, const ast::Expr& source, bool nonblocking, Span span) {
    for (const std::string& name : written_names(target)) {
      out_.assignments.push_back({name, source, nonblocking, clocked_, process_, guards_, span});
    }
  }

  void under(ast::Expr condition, const Stmt& owner, const Stmt& body) {
    guards_.push_back({std::move(condition), &owner});
    statement(body);
    guards_.pop_back();
  }

  void list(const std::vector<Stmt>& statements) {
    Siblings group;
    for (const Stmt& s : statements) {
      if (s.kind == StmtKind::kIf) group.ifs.push_back(&s);
    }
    if (group.ifs.size() > 1) out_.siblings.push_back(std::move(group));
    for (const Stmt& s : statements) statement(s);
  }

  void statement(const Stmt& s) {
    switch (s.kind) {
      case StmtKind::kBlock: return list(s.body);
      case StmtKind::kTimed: case StmtKind::kDelay:
        for (const Stmt& inner : s.body) statement(inner);
        return;
      case StmtKind::kIf:
        if (s.body.empty()) return;
        under(*s.expr, s, s.body[0]);
        if (s.body.size() > 1) under(negation(*s.expr), s, s.body[1]);
        return;
      case StmtKind::kCase: {
        std::vector<ast::Expr> none;
        for (const ast::CaseArm& arm : s.arms) {
          for (const ast::Expr& label : arm.labels) none.push_back(ast::make_binary(ast::Op::kNe, *s.expr, label));
        }
        for (const ast::CaseArm& arm : s.arms) {
          ast::Expr condition = conjunction(none);
          if (!arm.labels.empty()) {
            condition = ast::make_binary(ast::Op::kEq, *s.expr, arm.labels[0]);
            for (size_t i = 1; i < arm.labels.size(); ++i) {
              condition = ast::make_binary(ast::Op::kLogicOr, std::move(condition), ast::make_binary(ast::Op::kEq, *s.expr, arm.labels[i]));
            }
          }
          for (const Stmt& inner : arm.body) under(condition, s, inner);
        }
        return;
      }
      case StmtKind::kAssign:
        if (s.target && s.expr) add(*s.target, *s.expr, s.nonblocking, s.span);
        return;
      case StmtKind::kDecl:
        if (s.decl) {
          for (const ast::Declarator& name : s.decl->names) locals_.insert(name.name);
        }
        return;
      case StmtKind::kFor:
        for (const Stmt& init : s.init) {
          if (init.kind == StmtKind::kAssign && init.target && init.target->kind == ast::ExprKind::kName) locals_.insert(init.target->name);
          statement(init);
        }
        for (const Stmt& inner : s.body) statement(inner);
        return;
      default:
        for (const Stmt& inner : s.body) statement(inner);
        return;
    }
  }

  ModuleStructure& out_;
  std::vector<Guard> guards_;
  std::set<std::string> locals_;
  bool clocked_ = false;
  int process_ = 0;
  size_t first_ = 0;
};

}  // namespace

ModuleStructure structure_of(const ast::Module& module) {
  ModuleStructure out;
  Collector collector(out);
  for (const ast::Item& item : module.items) collector.item(item);
  return out;
}

}  // namespace callie::assertions
