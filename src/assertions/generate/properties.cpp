#include "assertions/generate/properties.h"

#include <algorithm>

#include "assertions/generate/expressions.h"
#include "assertions/generate/paths.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Expr;
using ast::Item;
using ast::ItemKind;
using ast::Op;
using ast::Prop;
using ast::PropKind;
using ast::Stmt;
using ast::StmtKind;

namespace {

constexpr size_t kMaxAssertions = 16, kMaxOfMachine = 30;

Prop boolean(Expr expr) {
  Prop out;
  out.expr = std::move(expr);
  return out;
}

Prop binary(PropKind kind, Prop a, Prop b) {
  Prop out;
  out.kind = kind;
  out.args.push_back(std::move(a));
  out.args.push_back(std::move(b));
  return out;
}

Expr past(Expr e, int cycles = 1) {
  std::vector<Expr> args;
  args.push_back(std::move(e));
  if (cycles > 1) args.push_back(integer(cycles));
  return ast::make_call("$past", std::move(args));
}

std::string identifier(std::string text) {
  for (char& c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  while (!text.empty() && text.back() == '_') text.pop_back();
  return text;
}

class Deriver {
 public:
  Deriver(const Snippet& snippet, bool by_branch, int tier, Dice& dice)
      : snippet_(snippet), by_branch_(by_branch), tier_(tier), dice_(dice) {
    for (const Snippet::Signal& s : snippet.signals) constants_.insert(s.members.begin(), s.members.end());
  }

  StatusOr<DerivedSet> run() {
    for (const Item& process : snippet_.processes) {
      const Stmt* body = &process.body[0];
      const bool clocked = body->kind == StmtKind::kTimed;
      if (clocked) body = &body->body[0];
      if (clocked && async()) {
        // begin if (reset) ... else BODY end
        body = &body->body[0].body[1];
      }
      CALLIE_ASSIGN_OR_RETURN(const PathTree tree, execute_paths(*body, 40));
      if (by_branch_) add_branches(tree, clocked);
      else add_targets(tree, clocked);
      if (clocked && async()) add_reset_values(targets_of(tree));
      add_constant_targets(tree, clocked);
      if (clocked && tier_ == 4) continue;
      if (!clocked && tier_ == 4) add_transitions(tree);
    }
    if (tier_ == 3) {
      add_pipeline();
      add_edges();
    }
    if (snippet_.handshake) add_handshake();
    if (out_.assertions.empty() || out_.assertions.size() > (tier_ == 4 ? kMaxOfMachine : kMaxAssertions)) return error(StatusCode::kUnimplemented, "too many paths");
    return std::move(out_);
  }

 private:
  bool async() const { return snippet_.reset && snippet_.reset->async; }

  bool is_constant(const Expr& value) const {
    std::set<std::string> names;
    collect_names(value, names);
    return std::all_of(names.begin(), names.end(), [&](const std::string& n) { return constants_.contains(n); });
  }

  Expr as_past(const Expr& value) const { return is_constant(value) ? value : past(value); }

  Expr target_expr(const std::string& target) const {
    const size_t bracket = target.find('[');
    if (bracket == std::string::npos) return ast::make_name(target);
    Expr out;
    out.args.push_back(ast::make_name(target.substr(0, bracket)));
    out.args.push_back(integer(std::atoi(target.c_str() + bracket + 1)));
    const size_t colon = target.find(':');
    out.kind = colon == std::string::npos ? ast::ExprKind::kIndex : ast::ExprKind::kRange;
    if (colon != std::string::npos) out.args.push_back(integer(std::atoi(target.c_str() + colon + 1)));
    return out;
  }

  Expr says(const std::string& target, const Expr* value, bool clocked) const {
    const Expr t = target_expr(target);
    if (!value || (clocked && *value == t)) return ast::make_call("$stable", {t});
    return ast::make_binary(Op::kEq, t, clocked ? as_past(*value) : *value);
  }

  std::string fresh(const std::string& base) {
    std::string out = base;
    for (int n = 2; used_.contains(out); ++n) out = fmt::format("{}_{}", base, n);
    used_.insert(out);
    return out;
  }

  Item concurrent(const std::string& name, Prop body, bool disable) const {
    if (disable) {
      Prop off;
      off.kind = PropKind::kDisable;
      off.expr = *snippet_.reset_active();
      off.args.push_back(std::move(body));
      body = std::move(off);
    }
    Prop clocked;
    clocked.kind = PropKind::kClocked;
    clocked.event = snippet_.event();
    clocked.args.push_back(std::move(body));
    Item out;
    out.kind = ItemKind::kAssertion;
    out.label = name;
    out.assertion = ast::Assertion{};
    out.assertion->concurrent = true;
    out.assertion->property = std::move(clocked);
    return out;
  }

  static Item immediate(const std::string& name, const Expr& guard, const Expr& consequent) {
    Stmt check;
    check.kind = StmtKind::kAssert;
    check.label = name;
    check.assertion = ast::Assertion{};
    check.assertion->expr = consequent;
    if (!is_true_constant(guard)) {
      Stmt s;
      s.kind = StmtKind::kIf;
      s.expr = guard;
      s.body.push_back(std::move(check));
      check = std::move(s);
    }
    Item out;
    out.kind = ItemKind::kAlways;
    out.always = ast::AlwaysKind::kComb;
    out.body.push_back(std::move(check));
    return out;
  }

  void add(const std::string& base, const Expr& antecedent, const Expr& consequent, PropKind kind, const std::string& target,
           int path, bool disable) {
    Derived d;
    d.name = fresh(base);
    d.item = concurrent(d.name, binary(kind, boolean(antecedent), boolean(consequent)), disable);
    d.form = kind == PropKind::kOverlap ? "|->" : "|=>";
    d.antecedent = antecedent;
    d.consequent = consequent;
    d.target = target;
    d.path = path;
    d.disables = disable;
    out_.assertions.push_back(std::move(d));
  }

  void add_path(const std::string& base, const Expr& guard, const Expr& consequent, const std::string& target, int path, bool clocked) {
    if (clocked) return add(base, guard, consequent, PropKind::kNonOverlap, target, path, async());
    Derived d;
    d.name = fresh(base);
    d.item = immediate(d.name, guard, consequent);
    d.form = "immediate";
    if (!is_true_constant(guard)) d.antecedent = guard;
    d.consequent = consequent;
    d.target = target;
    d.path = path;
    out_.assertions.push_back(std::move(d));
  }

  void add_targets(const PathTree& tree, bool clocked) {
    for (const std::string& target : targets_of(tree)) {
      std::vector<Expr> conditions;
      int n = 0;
      for (const Path& path : paths_for(tree, target)) {
        const Expr guard = conjunction(path.guards);
        conditions.push_back(guard);
        add_path(fmt::format("a_{}_{}", identifier(target), n), guard, says(target, path.value(target), clocked), target, n, clocked);
        ++n;
      }
      out_.path_sets.emplace_back(target, std::move(conditions));
    }
  }

  void add_branches(const PathTree& tree, bool clocked) {
    const std::vector<std::string> targets = targets_of(tree);
    std::vector<Expr> conditions;
    int n = 0;
    for (const Path& path : all_paths(tree)) {
      const Expr guard = conjunction(path.guards);
      conditions.push_back(guard);
      std::vector<Expr> terms;
      for (const std::string& target : targets) terms.push_back(says(target, path.value(target), clocked));
      add_path(fmt::format("a_{}_{}", identifier(targets[0]), n), guard, conjunction(terms), targets[0], n, clocked);
      ++n;
    }
    out_.path_sets.emplace_back(targets[0], std::move(conditions));
  }

  void add_reset_values(const std::vector<std::string>& targets) {
    for (const auto& [target, value] : snippet_.reset_values) {
      if (std::find(targets.begin(), targets.end(), target) == targets.end()) continue;
      add(fmt::format("a_{}_reset", identifier(target)), *snippet_.reset_active(),
          ast::make_binary(Op::kEq, target_expr(target), value), PropKind::kOverlap, target, -1, false);
    }
  }

  // A reset counts: a register that it sets to another value is no constant.
  void add_constant_targets(const PathTree& tree, bool clocked) {
    for (const std::string& target : targets_of(tree)) {
      std::vector<Expr> seen;
      for (const Path& path : paths_for(tree, target)) {
        const Expr* value = path.value(target);
        if (!value || !is_constant(*value) || contains(seen, *value)) continue;
        seen.push_back(*value);
        const std::string name = fresh(fmt::format("constant_{}_{}", identifier(target), seen.size()));
        const Expr always = ast::make_number_expr(1, 1, 'b'), same = says(target, value, clocked);
        out_.constant_targets.push_back(clocked ? concurrent(name, binary(PropKind::kNonOverlap, boolean(always), boolean(same)), false)
                                                : immediate(name, always, same));
      }
    }
  }

  // A synchronous reset is data: paths that compose over it must exclude it.
  std::vector<Expr> outside_reset() const {
    if (!snippet_.reset || snippet_.reset->async) return {};
    return {negation(*snippet_.reset_active())};
  }

  // next-state decisions as properties of the state register.
  void add_transitions(const PathTree& tree) {
    const std::string& state = snippet_.signals[0].name;
    const std::string& next = snippet_.signals[1].name;
    int n = 0;
    for (const Path& path : paths_for(tree, next)) {
      const Expr* value = path.value(next);
      if (!value || !dice_.chance(60) || out_.assertions.size() > 22) continue;
      std::vector<Expr> guards = outside_reset();
      guards.insert(guards.end(), path.guards.begin(), path.guards.end());
      add(fmt::format("a_{}_step", identifier(state)), conjunction(guards), says(state, value, true), PropKind::kNonOverlap, state, n++, async());
    }
  }

  void add_handshake() {
    const auto& [valid, ready, data] = *snippet_.handshake;
    std::vector<Expr> guards = outside_reset();
    guards.push_back(ast::make_name(valid));
    guards.push_back(ast::make_unary(Op::kNot, ast::make_name(ready)));
    add(fmt::format("a_{}_waits", valid), conjunction(guards),
        ast::make_binary(Op::kLogicAnd, ast::make_name(valid), ast::make_call("$stable", {ast::make_name(data)})),
        PropKind::kNonOverlap, data, -1, async());
  }

  // gates[0] ##1 gates[1] ... |=> consequent, and the same spelled out with $past for tools without sequences.
  void add_sequence(const std::string& base, const std::vector<Expr>& gates, const Expr& consequent, const std::string& target) {
    const int n = static_cast<int>(gates.size());
    Derived d;
    d.name = fresh(base);
    const bool trivial = std::all_of(gates.begin() + 1, gates.end(), is_true_constant);
    Prop body;
    if (trivial) {
      Prop delay;
      delay.kind = PropKind::kDelay;
      delay.low = integer(n);
      delay.args.push_back(boolean(consequent));
      body = binary(PropKind::kOverlap, boolean(gates[0]), std::move(delay));
    } else {
      Prop sequence = boolean(gates[0]);
      for (int i = 1; i < n; ++i) {
        sequence = binary(PropKind::kDelay, std::move(sequence), boolean(gates[static_cast<size_t>(i)]));
        sequence.low = integer(1);
      }
      body = binary(PropKind::kNonOverlap, std::move(sequence), boolean(consequent));
    }
    d.sequence_item = concurrent(d.name, std::move(body), async());
    std::vector<Expr> terms{seen(n)};
    for (int i = 0; i < n; ++i) {
      std::vector<Expr> inner;
      if (async()) inner.push_back(negation(*snippet_.reset_active()));
      inner.push_back(gates[static_cast<size_t>(i)]);
      const Expr term = conjunction(inner);
      if (!is_true_constant(term)) terms.push_back(past(term, n - i));
    }
    d.antecedent = conjunction(terms);
    d.item = concurrent(d.name, binary(PropKind::kOverlap, boolean(*d.antecedent), boolean(consequent)), async());
    d.form = "##";
    d.consequent = consequent;
    d.target = target;
    d.disables = async();
    out_.assertions.push_back(std::move(d));
  }

  // NAME[n-1]: n clocks have passed.
  Expr seen(int n) {
    const std::string name = snippet_.block_name + "_seen";
    const int width = 4;
    if (out_.helpers.empty()) {
      Item decl;
      decl.kind = ItemKind::kDecl;
      decl.type = logic_type(width);
      decl.names.emplace_back();
      decl.names[0].name = name;
      decl.names[0].init = ast::make_number_expr(width, 0, 'd');
      Expr shifted;
      shifted.kind = ast::ExprKind::kConcat;
      Expr low;
      low.kind = ast::ExprKind::kRange;
      low.args = {ast::make_name(name), integer(width - 2), integer(0)};
      shifted.args = {low, ast::make_number_expr(1, 1, 'b')};
      out_.helpers = {decl, register_process(snippet_.event(), name, shifted)};
    }
    Expr out;
    out.kind = ast::ExprKind::kIndex;
    out.args = {ast::make_name(name), integer(n - 1)};
    return out;
  }

  void add_pipeline() {
    if (!snippet_.pipeline) return;
    const Snippet::Pipeline& p = *snippet_.pipeline;
    const int last = dice_.between(1, static_cast<int>(p.registers.size()) - 1);
    Expr value = p.stages[0];
    bool failed = false;
    for (int i = 1; i <= last; ++i) value = substitute(p.stages[static_cast<size_t>(i)], {{p.registers[static_cast<size_t>(i) - 1], value}}, failed);
    if (failed) return;
    std::vector<Expr> gate = outside_reset();
    if (p.enable) gate.push_back(*p.enable);
    std::vector<Expr> gates(static_cast<size_t>(last) + 1, conjunction(gate));
    if (!snippet_.edge_controls.empty() && dice_.chance(50)) {
      // A narrower start.
      const std::string& control = dice_.pick(snippet_.edge_controls);
      Expr start = ast::make_name(control);
      if (dice_.chance(40)) start = ast::make_call(dice_.chance(50) ? "$rose" : "$fell", {start});
      const bool contradicts = p.enable && start.kind == ast::ExprKind::kCall && start.name == "$fell" && p.enable->name == control;
      if (!contradicts) gates[0] = conjunction({gates[0], start});
    }
    const std::string& target = p.registers[static_cast<size_t>(last)];
    add_sequence(fmt::format("a_{}_after", target), gates,
                 ast::make_binary(Op::kEq, ast::make_name(target), past(value, last + 1)), target);
    if (p.enable && dice_.chance(60)) {
      std::vector<Expr> hold = outside_reset();
      hold.push_back(negation(*p.enable));
      const std::string& held = p.registers[0];
      add_sequence(fmt::format("a_{}_holds", held), {conjunction(hold), conjunction(hold)},
                   ast::make_binary(Op::kEq, ast::make_name(held), past(ast::make_name(held), 2)), held);
    }
  }

  // Narrower antecedents: the same consequent when a control has just changed.
  void add_edges() {
    std::vector<size_t> fit;
    for (size_t i = 0; i < out_.assertions.size(); ++i) {
      if (out_.assertions[i].form == "|=>") fit.push_back(i);
    }
    if (fit.empty() || snippet_.edge_controls.empty()) return;
    for (int n = dice_.between(1, 2); n > 0; --n) {
      const Derived d = out_.assertions[dice_.pick(fit)];
      const std::string& control = dice_.pick(snippet_.edge_controls);
      const Expr name = ast::make_name(control);
      const bool rose = dice_.chance(55);
      if (contains_term(*d.antecedent, rose ? ast::make_unary(Op::kNot, name) : name)) continue;
      const Expr start = ast::make_call(rose ? "$rose" : "$fell", {name});
      std::vector<Expr> terms{start};
      const Expr opposite = rose ? name : ast::make_unary(Op::kNot, name);
      terms.push_back(without_term(*d.antecedent, opposite));
      add(fmt::format("a_{}_when_{}", identifier(d.target), control), conjunction(terms), d.consequent, PropKind::kNonOverlap, d.target, -1, d.disables);
    }
  }

  static void terms_of(const Expr& e, std::vector<Expr>& out) {
    if (e.kind == ast::ExprKind::kBinary && e.op == Op::kLogicAnd) {
      terms_of(e.args[0], out);
      terms_of(e.args[1], out);
    } else {
      out.push_back(e);
    }
  }
  static bool contains_term(const Expr& e, const Expr& term) {
    std::vector<Expr> terms;
    terms_of(e, terms);
    return std::find(terms.begin(), terms.end(), term) != terms.end();
  }
  static Expr without_term(const Expr& e, const Expr& term) {
    std::vector<Expr> terms;
    terms_of(e, terms);
    terms.erase(std::remove(terms.begin(), terms.end(), term), terms.end());
    return conjunction(terms);
  }

  const Snippet& snippet_;
  bool by_branch_;
  int tier_;
  Dice& dice_;
  std::set<std::string> constants_, used_;
  DerivedSet out_;
};

}  // namespace

StatusOr<DerivedSet> derive(const Snippet& snippet, bool by_branch, int tier, Dice& dice) {
  return Deriver(snippet, by_branch, tier, dice).run();
}

}  // namespace callie::assertions
