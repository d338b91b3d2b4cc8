#include <algorithm>
#include <set>

#include "assertions/elaborate/elaborator.h"

/// Statements by symbolic execution: both sides of a branch run and meet in multiplexers; loops are unrolled while
/// their condition is constant.
namespace callie::assertions {

using ast::Stmt;
using ast::StmtKind;

namespace {
constexpr int kMaxTurns = 65536;
}

Elaborator::Cell* Elaborator::Env::find(int variable, bool nb) {
  for (Env* env = this; env; env = env->parent) {
    auto& cells = nb ? env->nonblocking : env->blocking;
    const auto it = cells.find(variable);
    if (it != cells.end()) return &it->second;
  }
  return nullptr;
}

Elaborator::Cell& Elaborator::writable(int variable, bool nonblocking, Frame& frame) {
  auto& cells = nonblocking ? frame.env->nonblocking : frame.env->blocking;
  const auto it = cells.find(variable);
  if (it != cells.end()) return it->second;
  Cell cell;
  if (const Cell* old = frame.env->find(variable, nonblocking)) {
    cell = *old;
  } else {
    cell.bits = design_.variable_leaves(variable);
    cell.touched.assign(cell.bits.size(), false);
  }
  return cells.emplace(variable, std::move(cell)).first->second;
}

void Elaborator::merge(Lit condition, Env& then_env, Env& else_env, Env& into) {
  const auto join = [&](std::map<int, Cell> Env::*cells, bool nb) {
    std::map<int, bool> all;
    for (const auto& [variable, cell] : then_env.*cells) all[variable] = true;
    for (const auto& [variable, cell] : else_env.*cells) all[variable] = true;
    for (const auto& [variable, unused] : all) {
      Cell base;
      base.bits = design_.variable_leaves(variable);
      base.touched.assign(base.bits.size(), false);
      const Cell* a = then_env.find(variable, nb);
      const Cell* b = else_env.find(variable, nb);
      if (!a) a = &base;
      if (!b) b = &base;
      Cell out;
      out.bits = mux(aig_, condition, a->bits, b->bits);
      out.touched.resize(out.bits.size());
      for (size_t i = 0; i < out.bits.size(); ++i) out.touched[i] = a->touched[i] || b->touched[i];
      (into.*cells)[variable] = std::move(out);
    }
  };
  join(&Env::blocking, false);
  join(&Env::nonblocking, true);
}

void Elaborator::execute_if(Lit condition, const std::function<void(Frame&)>& then_part,
                            const std::function<void(Frame&)>& else_part, Frame& frame) {
  if (condition == kTrue) return then_part(frame);
  if (condition == kFalse) return else_part ? else_part(frame) : void();
  Env then_env, else_env;
  then_env.parent = else_env.parent = frame.env;
  Frame then_frame = frame, else_frame = frame;
  then_frame.env = &then_env;
  else_frame.env = &else_env;
  then_frame.guard = aig_.land(frame.guard, condition);
  else_frame.guard = aig_.land(frame.guard, negate(condition));
  then_part(then_frame);
  if (else_part) else_part(else_frame);
  merge(condition, then_env, else_env, *frame.env);
  const auto join = [&](Lit Frame::*flag) { frame.*flag = aig_.lmux(condition, then_frame.*flag, else_frame.*flag); };
  join(&Frame::dead);
  join(&Frame::returned);
  join(&Frame::broken);
  join(&Frame::continued);
}

void Elaborator::execute_list(const std::vector<Stmt>& list, size_t from, Frame& frame) {
  for (size_t i = from; i < list.size(); ++i) {
    execute(list[i], frame);
    if (frame.dead == kTrue) {
      for (++i; i < list.size(); ++i) note_unreached(list[i], frame);
      return;
    }
    if (frame.dead != kFalse && i + 1 < list.size()) {
      const Lit alive = negate(frame.dead);
      execute_if(alive, [&](Frame& rest) {
        rest.dead = rest.returned = rest.broken = rest.continued = kFalse;
        execute_list(list, i + 1, rest);
      }, [&](Frame& gone) { gone.dead = kTrue; }, frame);
      return;
    }
  }
}

int Elaborator::declare_local(const ast::Declarator& name, const ast::DataType& type, Frame& frame, bool automatic) {
  const int variable = declare_variable(name, type, frame.scope, false);
  Variable& v = design_.variables[variable];
  v.is_local = true;
  if (automatic) {
    Cell cell;
    for (int i = 0; i < v.type->width; ++i) cell.bits.push_back(design_.unknown_bit(name.span));
    cell.touched.assign(cell.bits.size(), true);
    frame.env->blocking[variable] = std::move(cell);
    v.name = name.name;
  }
  return variable;
}

void Elaborator::declare_local_item(const ast::Item& item, Frame& frame) {
  if (item.kind != ast::ItemKind::kDecl) return declare_item(item, frame.scope, 0);
  for (const ast::Declarator& name : item.names) {
    const int variable = declare_local(name, item.type, frame, true);
    if (name.init) {
      Cell& cell = frame.env->blocking[variable];
      cell.bits = evaluate_as(*name.init, design_.variables[variable].type, frame);
    }
  }
}

void Elaborator::execute(const Stmt& s, Frame& frame) {
  charge(s.span);
  switch (s.kind) {
    case StmtKind::kNull: return;
    case StmtKind::kBlock: {
      Scope* outer = frame.scope;
      if (std::any_of(s.body.begin(), s.body.end(), [](const Stmt& inner) { return inner.kind == StmtKind::kDecl; })) {
        frame.scope = new_scope(outer, outer->path + (s.label.empty() ? "" : s.label + "."));
      }
      execute_list(s.body, 0, frame);
      frame.scope = outer;
      return;
    }
    case StmtKind::kDecl: return declare_local_item(*s.decl, frame);
    case StmtKind::kIf: {
      const Lit taken = condition(*s.expr, frame);
      if (taken == kFalse) note_unreached(s.body[0], frame);
      execute_if(taken, [&](Frame& f) { execute(s.body[0], f); },
                 [&](Frame& f) { if (s.body.size() > 1) execute(s.body[1], f); }, frame);
      if (taken == kTrue && s.body.size() > 1) note_unreached(s.body[1], frame);
      return;
    }
    case StmtKind::kCase: return execute_case(s, frame);
    case StmtKind::kAssign: {
      const ast::Expr& target = *s.target;
      if (s.nonblocking && frame.is_initial) unsupported(s.span, "nonblocking assignment in an initial block");
      if (s.op != ast::Op::kNone) {
        ast::Expr sum = ast::make_binary(s.op, target, *s.expr);
        sum.span = s.span;
        const ExprType own = type_of(sum, frame);
        const ExprType to = type_of(target, frame);
        const Word value = evaluate(sum, std::max(own.width, to.width), own.is_signed, frame);
        return assign(target, resize(value, to.width, own.is_signed), s.nonblocking, frame);
      }
      if (target.kind == ast::ExprKind::kConcat) {
        const int width = type_of(target, frame).width;
        const ExprType own = type_of(*s.expr, frame);
        const Word value = evaluate(*s.expr, std::max(own.width, width), own.is_signed, frame);
        return assign(target, resize(value, width, own.is_signed), s.nonblocking, frame);
      }
      const Target to = resolve_target(target, frame);
      return assign_target(to, evaluate_as(*s.expr, to.type, frame), s.nonblocking, frame, target.span);
    }
    case StmtKind::kFor: case StmtKind::kWhile: case StmtKind::kDoWhile: case StmtKind::kRepeat:
      return execute_loop(s, frame);
    case StmtKind::kForeach: return execute_foreach(s, frame);
    case StmtKind::kCall: return execute_call(s, frame);
    case StmtKind::kAssert: return execute_assert(s, frame);
    case StmtKind::kReturn:
      if (s.expr) {
        if (frame.return_variable < 0) fail(s.span, "return of a value outside of a function");
        Cell& cell = writable(frame.return_variable, false, frame);
        cell.bits = evaluate_as(*s.expr, design_.variables[frame.return_variable].type, frame);
        cell.touched.assign(cell.bits.size(), true);
      }
      frame.returned = frame.dead = kTrue;
      return;
    case StmtKind::kBreak: frame.broken = frame.dead = kTrue; return;
    case StmtKind::kContinue: frame.continued = frame.dead = kTrue; return;
    case StmtKind::kTimed: unsupported(s.span, "event control inside a process");
    case StmtKind::kDelay: unsupported(s.span, "delay inside a process");
    case StmtKind::kWait: unsupported(s.span, "wait");
    case StmtKind::kForever: unsupported(s.span, "forever");
    case StmtKind::kOther: unsupported(s.span, s.name);
  }
}

void Elaborator::assign(const ast::Expr& target, const Word& value, bool nonblocking, Frame& frame) {
  if (target.kind == ast::ExprKind::kConcat) {
    size_t low = 0;
    for (size_t i = target.args.size(); i-- > 0;) {
      const size_t width = static_cast<size_t>(type_of(target.args[i], frame).width);
      assign(target.args[i], Word(value.begin() + low, value.begin() + low + width), nonblocking, frame);
      low += width;
    }
    return;
  }
  assign_target(resolve_target(target, frame), value, nonblocking, frame, target.span);
}

void Elaborator::assign_target(const Target& target, const Word& value, bool nonblocking, Frame& frame, Span span) {
  if (target.value || target.variable < 0) fail(span, "this cannot be assigned");
  if (!frame.env) fail(span, "an assignment outside of a process");
  Variable& v = design_.variables[target.variable];
  if (v.is_input) fail(span, fmt::format("'{}' is an input of the top module", v.name));
  Cell& cell = writable(target.variable, nonblocking && !v.is_local, frame);
  if (!target.is_dynamic) {
    for (int i = 0; i < target.width; ++i) {
      cell.bits[target.offset + i] = value[i];
      cell.touched[target.offset + i] = true;
    }
    return;
  }
  for (const Target::Place& place : target.places) {
    for (int i = 0; i < place.count; ++i) {
      Lit& bit = cell.bits[place.offset + i];
      bit = aig_.lmux(place.condition, value[place.skip + i], bit);
      cell.touched[place.offset + i] = true;
    }
  }
}

void Elaborator::execute_case(const Stmt& s, Frame& frame) {
  ExprType own = type_of(*s.expr, frame);
  int width = own.width;
  bool is_signed = own.is_signed;
  int default_arm = -1;
  for (size_t i = 0; i < s.arms.size(); ++i) {
    if (s.arms[i].labels.empty()) {
      if (default_arm >= 0) fail(s.arms[i].span, "two defaults in one case");
      default_arm = static_cast<int>(i);
    }
    if (s.case_kind == ast::CaseKind::kInside) continue;
    for (const ast::Expr& label : s.arms[i].labels) {
      const ExprType t = type_of(label, frame);
      width = std::max(width, t.width);
      is_signed = is_signed && t.is_signed;
    }
  }
  const Word selector = evaluate(*s.expr, width, is_signed, frame);
  std::vector<Lit> matches;
  for (const ast::CaseArm& arm : s.arms) {
    Lit match = kFalse;
    for (const ast::Expr& label : arm.labels) {
      Lit one = kFalse;
      if (s.case_kind == ast::CaseKind::kInside) {
        one = inside(*s.expr, label, frame);
      } else if (label.kind == ast::ExprKind::kNumber && label.number->has_unknown()) {
        // An x or z bit never equals a known one, except as a wildcard.
        if (s.case_kind != ast::CaseKind::kCase) one = wild_equal(selector, label, width, is_signed, s.case_kind == ast::CaseKind::kCasez, frame);
      } else {
        one = equal(aig_, selector, evaluate(label, width, is_signed, frame));
      }
      match = aig_.lor(match, one);
    }
    matches.push_back(match);
  }
  execute_case_arms(s, matches, 0, default_arm, frame);
}

void Elaborator::execute_case_arms(const Stmt& s, const std::vector<Lit>& matches, size_t arm, int default_arm, Frame& frame) {
  for (; arm < s.arms.size() && (s.arms[arm].labels.empty() || matches[arm] == kFalse); ++arm) {
    if (!s.arms[arm].labels.empty()) note_unreached(s.arms[arm].body[0], frame);
  }
  if (arm < s.arms.size() && matches[arm] == kTrue) {
    execute(s.arms[arm].body[0], frame);
    for (size_t later = arm + 1; later < s.arms.size(); ++later) note_unreached(s.arms[later].body[0], frame);
    if (default_arm >= 0 && static_cast<size_t>(default_arm) < arm) note_unreached(s.arms[static_cast<size_t>(default_arm)].body[0], frame);
    return;
  }
  if (arm >= s.arms.size()) {
    if (default_arm >= 0) execute(s.arms[default_arm].body[0], frame);
    return;
  }
  if (frame.depth > 3000) fail(s.span, "a case with too many arms");
  ++frame.depth;
  execute_if(matches[arm], [&](Frame& f) { execute(s.arms[arm].body[0], f); },
             [&](Frame& f) { execute_case_arms(s, matches, arm + 1, default_arm, f); }, frame);
  --frame.depth;
}

void Elaborator::execute_loop(const Stmt& s, Frame& frame) {
  Scope* outer = frame.scope;
  if (s.kind == StmtKind::kFor) {
    frame.scope = new_scope(outer, outer->path);
    for (const Stmt& init : s.init) execute(init, frame);
  }
  int64_t turns = s.kind == StmtKind::kRepeat ? constant(*s.expr, frame, "the count of repeat") : kMaxTurns + 1;
  const Frame before = frame;
  const std::function<void(Frame&, int64_t)> turn = [&](Frame& f, int64_t n) {
    for (;; ++n) {
      if (s.kind == StmtKind::kRepeat && n >= turns) {
        if (n == 0) note_unreached(s.body[0], f);
        return;
      }
      if (n > kMaxTurns) fail(s.span, fmt::format("a loop of more than {} turns", kMaxTurns));
      charge(s.span);
      if (s.kind == StmtKind::kFor || s.kind == StmtKind::kWhile || (s.kind == StmtKind::kDoWhile && n > 0)) {
        if (s.expr) {
          const Lit go = condition(*s.expr, f);
          if (!is_constant(go)) unsupported(s.span, "loop whose condition is not constant");
          if (go == kFalse) {
            if (n == 0) note_unreached(s.body[0], f);
            return;
          }
        }
      }
      execute(s.body[0], f);
      const auto step = [&](Frame& g) { for (const Stmt& one : s.step) execute(one, g); };
      if (!ends_turn(f)) {
        step(f);
        continue;
      }
      // The loop variable moves on in the paths that do; in each it is constant.
      execute_rest(s, [&](Frame& g) {
        step(g);
        turn(g, n + 1);
      }, f);
      return;
    }
  };
  turn(frame, 0);
  leave_loop(frame, before);
  frame.scope = outer;
}

// Behind the body of a loop `continue` is over, and what returned or broke does not go on. True where something did.
bool Elaborator::ends_turn(Frame& frame) {
  frame.continued = kFalse;
  frame.dead = aig_.lor(frame.returned, frame.broken);
  return frame.dead != kFalse;
}

// The further turns, in the paths that neither returned nor broke.
void Elaborator::execute_rest(const Stmt& loop, const std::function<void(Frame&)>& rest, Frame& frame) {
  if (frame.dead == kTrue) return;
  if (++loop_exits_ > 2000) fail(loop.span, "a loop with too many conditional exits");
  const Lit goes_on = negate(frame.dead);
  execute_if(goes_on, [&](Frame& alive) {
    alive.dead = alive.returned = alive.broken = kFalse;
    assume(goes_on, alive);
    rest(alive);
  }, nullptr, frame);
  --loop_exits_;
}

// Local variables that the body left with one constant where the loop goes on and another where it does not: a counter
// behind a conditional break is constant again.
void Elaborator::assume(Lit condition, Frame& frame) {
  std::set<int> seen;
  for (Env* env = frame.env; env; env = env->parent) {
    for (const auto& [variable, cell] : env->blocking) {
      if (!design_.variables[variable].is_local || !seen.insert(variable).second) continue;
      const auto known = [&](Lit bit) { return bit == condition || bit == negate(condition); };
      if (std::none_of(cell.bits.begin(), cell.bits.end(), known)) continue;
      for (Lit& bit : writable(variable, false, frame).bits) {
        if (known(bit)) bit = bit == condition ? kTrue : kFalse;
      }
    }
  }
}

void Elaborator::leave_loop(Frame& frame, const Frame& before) {
  frame.broken = before.broken;
  frame.continued = before.continued;
  frame.dead = frame.returned;
}

void Elaborator::execute_foreach(const Stmt& s, Frame& frame) {
  // The values of the loop variables in each turn; a dimension whose variable is left out is not walked.
  std::vector<std::vector<int>> turns{{}};
  const Type* at = select_type(*s.expr, frame);
  for (const std::string& variable : s.loop_vars) {
    if (!at || !at->is_array()) fail(s.span, "foreach over what is no array");
    std::vector<std::vector<int>> longer;
    for (const std::vector<int>& turn : turns) {
      for (int n = 0; n < (variable.empty() ? 1 : at->count()); ++n) {
        longer.push_back(turn);
        longer.back().push_back(at->left <= at->right ? at->left + n : at->left - n);
        if (longer.size() > kMaxTurns) fail(s.span, fmt::format("a loop of more than {} turns", kMaxTurns));
      }
    }
    turns = std::move(longer);
    at = at->element;
  }
  Scope* outer = frame.scope;
  const Frame before = frame;
  const std::function<void(Frame&, size_t)> from = [&](Frame& f, size_t n) {
    for (; n < turns.size(); ++n) {
      charge(s.span);
      f.scope = new_scope(outer, outer->path);
      for (size_t i = 0; i < s.loop_vars.size(); ++i) {
        if (s.loop_vars[i].empty()) continue;
        Symbol symbol;
        symbol.kind = Symbol::Kind::kParameter;
        symbol.type = bits_type(32, true);
        symbol.value = constant_word(static_cast<uint64_t>(static_cast<int64_t>(turns[n][i])), 32);
        f.scope->symbols[s.loop_vars[i]] = symbol;
      }
      execute(s.body[0], f);
      f.scope = outer;
      if (ends_turn(f)) return execute_rest(s, [&](Frame& rest) { from(rest, n + 1); }, f);
    }
  };
  from(frame, 0);
  leave_loop(frame, before);
}

void Elaborator::execute_call(const Stmt& s, Frame& frame) {
  const ast::Expr& call = *s.expr;
  if (call.name.empty()) return;
  if (call.name[0] == '$') {
    if (frame.is_initial && (call.name == "$readmemh" || call.name == "$readmemb") && call.args.size() > 1) {
      // What the file holds is not looked at: the memory starts at any value.
      const Target memory = resolve_target(call.args[1], frame);
      Word any_value;
      for (int i = 0; i < memory.width; ++i) any_value.push_back(design_.unknown_bit(s.span));
      return assign_target(memory, any_value, false, frame, s.span);
    }
    static const std::vector<std::string> kQuiet{"$display", "$write", "$monitor", "$strobe", "$error", "$info", "$warning",
        "$fatal", "$finish", "$stop", "$dumpfile", "$dumpvars", "$dumpon", "$dumpoff", "$dumpall", "$timeformat", "$fdisplay",
        "$fwrite", "$fclose", "$fflush", "$asserton", "$assertoff", "$printtimescale", "$exit"};
    if (std::find(kQuiet.begin(), kQuiet.end(), call.name) == kQuiet.end()) unsupported(s.span, call.name);
    return;
  }
  const Symbol* symbol = resolve_called(call.name, frame);
  if (!symbol || symbol->kind != Symbol::Kind::kFunction) {
    if (call.name[0] == '.') unsupported(s.span, call.name.substr(1));
    fail(call.span, fmt::format("unknown task or function '{}'", call.name));
  }
  (void)call_function(*symbol, call, frame);
}

void Elaborator::execute_assert(const Stmt& s, Frame& frame) {
  const ast::Assertion& assertion = *s.assertion;
  Frame inner = frame;
  lower_assertion(assertion, s.label, inner, s.span);
}

// The assertions of a statement that is never executed: they say nothing, which is not the same as not being there.
void Elaborator::note_unreached(const Stmt& s, const Frame& frame) { note_unreached(s, frame.scope->path, frame); }

void Elaborator::note_unreached(const Stmt& s, const std::string& path, const Frame& frame) {
  charge(s.span);
  if (s.kind == StmtKind::kAssert) {
    if (s.assertion->kind == ast::AssertKind::kCover || s.assertion->kind == ast::AssertKind::kCoverSequence) return;
    Check check;
    check.kind = s.assertion->kind;
    check.source = &*s.assertion;
    check.span = s.span;
    check.name = s.label.empty() ? "" : path + s.label;
    check.fire = kFalse;
    check.has_fire = true;
    check.has_clock = frame.has_clock;
    check.clock = frame.clock;
    check.reached = false;
    return add_check(std::move(check), path);
  }
  const bool scoped = s.kind == StmtKind::kBlock && !s.label.empty() &&
                      std::any_of(s.body.begin(), s.body.end(), [](const Stmt& inner) { return inner.kind == StmtKind::kDecl; });
  const std::string below = scoped ? path + s.label + "." : path;
  for (const Stmt& inner : s.body) note_unreached(inner, below, frame);
  for (const ast::CaseArm& arm : s.arms) {
    for (const Stmt& inner : arm.body) note_unreached(inner, below, frame);
  }
}

}  // namespace callie::assertions
