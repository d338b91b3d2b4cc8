#include "assertions/generate/paths.h"

#include <algorithm>
#include <map>

#include "assertions/generate/expressions.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::CaseKind;
using ast::Expr;
using ast::ExprKind;
using ast::Op;
using ast::Stmt;
using ast::StmtKind;

namespace {

struct Refused {
  std::string reason;
};

const std::string& base_name(const Expr& target) {
  const Expr* at = &target;
  while (!at->args.empty() && at->kind != ExprKind::kName) at = &at->args[0];
  return at->name;
}

bool is_constant_select(const Expr& target) {
  if (target.kind == ExprKind::kName) return true;
  if (target.kind != ExprKind::kIndex && target.kind != ExprKind::kRange) return false;
  if (target.args[0].kind != ExprKind::kName) return false;
  return std::all_of(target.args.begin() + 1, target.args.end(), [](const Expr& e) { return e.kind == ExprKind::kNumber; });
}

// Bits [low, high] of a constant select.
std::pair<int64_t, int64_t> bits_of(const Expr& target) {
  if (target.kind == ExprKind::kName) return {0, int64_t{1} << 40};
  const auto at = [&](size_t i) { return static_cast<int64_t>(target.args[i].number->value[0]); };
  if (target.kind == ExprKind::kIndex) return {at(1), at(1)};
  return {at(2), at(1)};
}

class Executor {
 public:
  explicit Executor(int max_leaves) : max_leaves_(max_leaves) {}

  struct Env {
    std::vector<std::pair<std::string, Expr>> values;   // by target as written
    std::map<std::string, Expr> blocking;               // names that a later read sees
    std::vector<Expr> targets;
  };

  PathTree run(std::vector<const Stmt*> rest, Env env) {
    while (!rest.empty()) {
      const Stmt& s = *rest.back();
      rest.pop_back();
      switch (s.kind) {
        case StmtKind::kNull: case StmtKind::kAssert: continue;
        case StmtKind::kBlock:
          for (size_t i = s.body.size(); i-- > 0;) rest.push_back(&s.body[i]);
          continue;
        case StmtKind::kAssign: assign(s, env); continue;
        case StmtKind::kIf: {
          const Expr condition = read(*s.expr, env);
          PathTree out;
          out.guards = {condition, negation(condition)};
          std::vector<const Stmt*> then_rest = rest;
          then_rest.push_back(&s.body[0]);
          out.children.push_back(run(std::move(then_rest), env));
          if (s.body.size() > 1) rest.push_back(&s.body[1]);
          out.children.push_back(run(std::move(rest), std::move(env)));
          return out;
        }
        case StmtKind::kCase: return branch(s, std::move(rest), std::move(env));
        default: throw Refused{"a statement that is no assignment, if or case"};
      }
    }
    if (++leaves_ > max_leaves_) throw Refused{"too many paths"};
    PathTree leaf;
    leaf.values = std::move(env.values);
    return leaf;
  }

 private:
  Expr read(const Expr& expr, const Env& env) {
    for (const Expr& target : env.targets) {
      if (target.kind == ExprKind::kName) continue;
      std::set<std::string> names;
      collect_names(expr, names);
      if (names.contains(base_name(target))) throw Refused{"a read of a partly assigned variable"};
    }
    bool failed = false;
    Expr out = substitute(expr, env.blocking, failed);
    if (failed) throw Refused{"a selection from an assigned variable"};
    return out;
  }

  void assign(const Stmt& s, Env& env) {
    const Expr& target = *s.target;
    if (s.op != Op::kNone) throw Refused{"a compound assignment"};
    if (!is_constant_select(target)) throw Refused{"an assignment to what is no name or constant select"};
    const std::string key = print(target);
    const Expr value = read(*s.expr, env);
    const auto it = std::find_if(env.values.begin(), env.values.end(), [&](const auto& v) { return v.first == key; });
    if (it != env.values.end()) {
      it->second = value;
    } else {
      for (const Expr& other : env.targets) {
        if (base_name(other) != base_name(target)) continue;
        const auto [low, high] = bits_of(target);
        const auto [other_low, other_high] = bits_of(other);
        if (low <= other_high && other_low <= high) throw Refused{"overlapping partial assignments"};
      }
      env.values.emplace_back(key, value);
    }
    if (!s.nonblocking) {
      if (target.kind == ExprKind::kName) env.blocking[target.name] = value;
      else if (it == env.values.end()) env.targets.push_back(target);
    }
    seen_.emplace(key, target);
    for (const auto& [name, other] : seen_) {
      // A slice in one path and the whole in another would make two targets out of one.
      if (name == key || base_name(other) != base_name(target)) continue;
      const auto [low, high] = bits_of(target);
      const auto [other_low, other_high] = bits_of(other);
      if (low <= other_high && other_low <= high) throw Refused{"overlapping partial assignments"};
    }
  }

  static bool has_wildcard(const Expr& label) { return label.kind == ExprKind::kNumber && label.number->has_unknown(); }

  // selector == label, or the masked comparison of a casez label.
  static Expr label_matches(const Expr& selector, const Expr& label, CaseKind kind) {
    if (!has_wildcard(label)) return ast::make_binary(Op::kEq, selector, label);
    if (kind == CaseKind::kCase || kind == CaseKind::kInside || label.number->width > 64) throw Refused{"a label with x or z"};
    const uint64_t all = label.number->width == 64 ? ~uint64_t{0} : (uint64_t{1} << label.number->width) - 1;
    const uint64_t mask = all & ~label.number->unknown[0];
    const Expr masked = ast::make_binary(Op::kBitAnd, selector, ast::make_number_expr(label.number->width, mask, 'b'));
    return ast::make_binary(Op::kEq, masked, ast::make_number_expr(label.number->width, label.number->value[0] & mask, 'b'));
  }

  PathTree branch(const Stmt& s, std::vector<const Stmt*> rest, Env env) {
    if (s.case_kind == CaseKind::kInside) throw Refused{"case inside"};
    const Expr selector = read(*s.expr, env);
    // Distinct plain constants cannot match together; anything else needs the earlier arms negated.
    bool distinct = true;
    std::vector<Expr> all_labels;
    for (const ast::CaseArm& arm : s.arms) {
      for (const Expr& label : arm.labels) {
        const bool plain = (label.kind == ExprKind::kNumber && !has_wildcard(label)) || label.kind == ExprKind::kName;
        if (!plain || std::find(all_labels.begin(), all_labels.end(), label) != all_labels.end()) distinct = false;
        all_labels.push_back(label);
      }
    }
    PathTree out;
    std::vector<Expr> earlier;
    const Stmt* fallback = nullptr;
    for (const ast::CaseArm& arm : s.arms) {
      if (arm.labels.empty()) {
        fallback = &arm.body[0];
        continue;
      }
      std::vector<Expr> matches;
      for (const Expr& label : arm.labels) matches.push_back(label_matches(selector, label, s.case_kind));
      std::vector<Expr> terms;
      if (!distinct) terms = earlier;
      const Expr match = any_of(matches);
      terms.push_back(match);
      out.guards.push_back(conjunction(terms));
      for (const Expr& one : matches) earlier.push_back(negation(one));
      std::vector<const Stmt*> arm_rest = rest;
      arm_rest.push_back(&arm.body[0]);
      out.children.push_back(run(std::move(arm_rest), env));
    }
    out.guards.push_back(conjunction(earlier));
    if (fallback) rest.push_back(fallback);
    out.children.push_back(run(std::move(rest), std::move(env)));
    return out;
  }

  int max_leaves_, leaves_ = 0;
  std::map<std::string, Expr> seen_;
};

// What a subtree says about one target, with irrelevant decisions dropped.
PathTree project(const PathTree& tree, const std::string& target) {
  PathTree out;
  if (tree.children.empty()) {
    for (const auto& value : tree.values) {
      if (value.first == target) out.values.push_back(value);
    }
    return out;
  }
  const auto same = [](const auto& self, const PathTree& a, const PathTree& b) -> bool {
    if (a.values != b.values || a.guards != b.guards || a.children.size() != b.children.size()) return false;
    for (size_t i = 0; i < a.children.size(); ++i) {
      if (!self(self, a.children[i], b.children[i])) return false;
    }
    return true;
  };
  out.guards = tree.guards;
  for (const PathTree& child : tree.children) out.children.push_back(project(child, target));
  for (size_t i = 1; i < out.children.size(); ++i) {
    if (!same(same, out.children[0], out.children[i])) return out;
  }
  return PathTree(out.children[0]);
}

void collect(const PathTree& tree, std::vector<Expr>& guards, std::vector<Path>& out) {
  if (tree.children.empty()) {
    out.push_back({guards, tree.values});
    return;
  }
  for (size_t i = 0; i < tree.children.size(); ++i) {
    guards.push_back(tree.guards[i]);
    collect(tree.children[i], guards, out);
    guards.pop_back();
  }
}

}  // namespace

const Expr* Path::value(const std::string& target) const {
  for (const auto& [name, expr] : values) {
    if (name == target) return &expr;
  }
  return nullptr;
}

StatusOr<PathTree> execute_paths(const Stmt& body, int max_leaves) {
  try {
    Executor executor(max_leaves);
    return executor.run({&body}, {});
  } catch (const Refused& refused) {
    return error(StatusCode::kUnimplemented, "{}", refused.reason);
  }
}

std::vector<std::string> targets_of(const PathTree& tree) {
  std::vector<std::string> out;
  const auto visit = [&](const auto& self, const PathTree& node) -> void {
    for (const auto& value : node.values) {
      if (std::find(out.begin(), out.end(), value.first) == out.end()) out.push_back(value.first);
    }
    for (const PathTree& child : node.children) self(self, child);
  };
  visit(visit, tree);
  return out;
}

std::vector<Path> paths_for(const PathTree& tree, const std::string& target) {
  std::vector<Path> out;
  std::vector<Expr> guards;
  collect(project(tree, target), guards, out);
  return out;
}

std::vector<Path> all_paths(const PathTree& tree) {
  std::vector<Path> out;
  std::vector<Expr> guards;
  collect(tree, guards, out);
  return out;
}

}  // namespace callie::assertions
