#include <algorithm>

#include "assertions/elaborate/elaborator.h"
#include "assertions/syntax/printer.h"

/// Function calls, system functions and clocks.
namespace callie::assertions {

using ast::Expr;
using ast::ExprKind;

Elaborator::ExprType Elaborator::type_of_call(const Expr& expr, Frame& frame) {
  const std::string& name = expr.name;
  if (name.empty() || name[0] != '$') {
    const Symbol* symbol = resolve_called(name, frame);
    if (!symbol || symbol->kind != Symbol::Kind::kFunction) {
      if (name[0] == '.') unsupported(expr.span, name.substr(1));
      if (symbol) unsupported(expr.span, fmt::format("use of '{}' as a function", name));
      fail(expr.span, fmt::format("unknown function '{}'", name));
    }
    const Type* type = resolve_type(symbol->item->type, symbol->scope);
    if (type->kind == Type::Kind::kVoid) fail(expr.span, fmt::format("'{}' gives no value", name));
    return {type->width, type->is_signed, type, false};
  }
  if (name == "$clog2" || name == "$bits" || name == "$countones" || name == "$countbits" || name == "$size" ||
      name == "$left" || name == "$right" || name == "$high" || name == "$low") {
    return {32, true, nullptr, false};
  }
  if (name == "$signed" || name == "$unsigned" || name == "$past" || name == "$sampled") {
    if (expr.args.empty()) fail(expr.span, fmt::format("{} needs an argument", name));
    ExprType out = type_of(expr.args[0], frame);
    if (name == "$signed" || name == "$unsigned") {
      out.is_signed = name == "$signed";
      out.type = nullptr;
    }
    return out;
  }
  return {};
}

Word Elaborator::evaluate_call(const Expr& expr, int width, bool is_signed, Frame& frame) {
  const ExprType type = type_of_call(expr, frame);
  Word out;
  if (expr.name[0] == '$') {
    out = evaluate_system_call(expr, frame);
  } else {
    out = call_function(*resolve_called(expr.name, frame), expr, frame);
  }
  return resize(resize(out, type.width, type.is_signed), width, is_signed);
}

Word Elaborator::call_function(const Symbol& function, const Expr& call, Frame& frame) {
  const ast::Item& item = *function.item;
  struct Depth {  // an assertion that cannot be lowered leaves by an exception
    int& depth;
    explicit Depth(int& d) : depth(++d) {}
    ~Depth() { --depth; }
  } const depth(call_depth_);
  if (call_depth_ > 64) fail(call.span, fmt::format("'{}' calls itself more than 64 levels deep", item.name));
  charge(call.span);
  Scope* scope = new_scope(function.scope, function.scope->path + item.name + ".");
  Env env;
  Frame inner = frame;
  Frame arguments = frame;
  inner.scope = scope;
  env.parent = frame.env;
  inner.env = &env;
  inner.dead = inner.returned = inner.broken = inner.continued = kFalse;
  const int first_local = static_cast<int>(design_.variables.size());
  std::vector<int> formals;
  std::vector<const Expr*> actuals(item.formals.size(), nullptr);
  const size_t positional = call.args.size() - call.keys.size();
  for (size_t i = 0; i < call.args.size(); ++i) {
    size_t at = i;
    if (i >= positional) {
      at = 0;
      while (at < item.formals.size() && item.formals[at].name.name != call.keys[i - positional]) ++at;
    }
    if (at >= item.formals.size()) fail(call.span, fmt::format("'{}' takes {} arguments", item.name, item.formals.size()));
    actuals[at] = &call.args[i];
  }
  for (size_t i = 0; i < item.formals.size(); ++i) {
    const ast::Formal& formal = item.formals[i];
    const int variable = declare_local(formal.name, formal.type, inner, true);
    formals.push_back(variable);
    if (formal.direction == ast::Direction::kOutput) continue;
    const Expr* actual = actuals[i] && actuals[i]->kind != ExprKind::kEmpty ? actuals[i]
                         : formal.name.init ? &*formal.name.init : nullptr;
    if (!actual) fail(call.span, fmt::format("'{}' lacks its argument '{}'", item.name, formal.name.name));
    env.blocking[variable].bits = evaluate_as(*actual, design_.variables[variable].type, arguments);
    env.blocking[variable].touched.assign(env.blocking[variable].bits.size(), true);
  }
  const Type* type = resolve_type(item.type, function.scope);
  if (type->kind != Type::Kind::kVoid) {
    ast::Declarator name;
    name.name = item.name;
    name.span = item.name_span;
    inner.return_variable = declare_local(name, item.type, inner, true);
  }
  execute_list(item.body, 0, inner);
  Word out;
  if (inner.return_variable >= 0) out = read_variable(inner.return_variable, inner);
  std::vector<Word> outputs;
  for (int variable : formals) outputs.push_back(read_variable(variable, inner));
  // What the function did to variables outside of it stays.
  if (frame.env) {
    for (auto& [variable, cell] : env.blocking) {
      if (variable >= first_local) continue;
      frame.env->blocking[variable] = cell;
    }
    for (auto& [variable, cell] : env.nonblocking) frame.env->nonblocking[variable] = cell;
  }
  for (size_t i = 0; i < item.formals.size(); ++i) {
    const ast::Direction direction = item.formals[i].direction;
    if (direction != ast::Direction::kOutput && direction != ast::Direction::kInout) continue;
    if (!actuals[i]) fail(call.span, "an output argument is missing");
    if (!frame.env) unsupported(call.span, "output argument outside of a process");
    const Target target = resolve_target(*actuals[i], frame);
    assign_target(target, resize(outputs[i], target.width, design_.variables[formals[i]].type->is_signed), false, frame,
                  call.span);
  }
  return out;
}

// word as it was `cycles` ticks of the clock ago, counting only ticks with `gate`.
Word Elaborator::past(const Word& word, int cycles, Lit gate, const Clock& clock) {
  Word out = word;
  for (Lit& bit : out) {
    if (is_constant(bit)) continue;
    for (int i = 0; i < cycles; ++i) {
      const auto key = std::pair{bit, std::pair{clock.signal * 2 + (clock.edge == ast::Edge::kNeg), static_cast<int>(gate)}};
      auto [it, fresh] = history_.emplace(key, kFalse);
      if (fresh) {
        const int index = design_.new_state();
        State& state = design_.states[index];
        state.next = aig_.lmux(gate, bit, state.leaf);
        state.init = 2;
        state.starts_as = bit;
        state.has_clock = true;
        state.clock = clock;
        it->second = state.leaf;
      }
      bit = it->second;
    }
  }
  return out;
}

Clock Elaborator::resolve_edge(const ast::EventTerm& term, Frame& frame) {
  Clock out;
  out.span = term.span;
  out.edge = term.edge;
  Frame plain;
  plain.scope = frame.scope;
  out.signal = evaluate_self(term.expr, plain)[0];
  if (is_inverted(out.signal) && out.edge != ast::Edge::kAny) {
    out.signal = negate(out.signal);
    out.edge = out.edge == ast::Edge::kPos ? ast::Edge::kNeg : ast::Edge::kPos;
  }
  out.text = fmt::format("{} {}", out.edge == ast::Edge::kNeg ? "negedge" : "posedge", print(term.expr));
  return out;
}

// The clock of an assertion: one edge, or the name of a clocking block.
Clock Elaborator::resolve_clock(const ast::EventControl& event, Scope* scope, Span span) {
  if (event.star || event.terms.size() != 1) unsupported(span, "clocking event with more than one term");
  const ast::EventTerm& term = event.terms[0];
  Frame frame;
  frame.scope = scope;
  if (term.edge == ast::Edge::kAny) {
    if (term.expr.kind == ExprKind::kName) {
      const Symbol* symbol = resolve(term.expr, frame);
      if (symbol && symbol->kind == Symbol::Kind::kClocking) return resolve_clock(*symbol->item->event, symbol->scope, span);
      if (!symbol) fail(term.span, fmt::format("unknown clock '{}'", term.expr.name));
    }
    unsupported(term.span, "clocking event without posedge or negedge");
  }
  if (term.iff) unsupported(term.span, "clocking event with iff");
  return resolve_edge(term, frame);
}

Clock Elaborator::call_clock(const Expr& expr, size_t argument, Frame& frame) {
  if (expr.args.size() > argument && expr.args[argument].kind == ExprKind::kEvent) {
    const Expr& event = expr.args[argument];
    ast::EventTerm term;
    term.edge = event.name == "posedge" ? ast::Edge::kPos : event.name == "negedge" ? ast::Edge::kNeg : ast::Edge::kAny;
    term.expr = event.args[0];
    term.span = event.span;
    ast::EventControl control;
    control.terms.push_back(std::move(term));
    return resolve_clock(control, frame.scope, event.span);
  }
  if (frame.has_clock) return frame.clock;
  if (frame.scope->default_clock) return resolve_clock(*frame.scope->default_clock, frame.scope->default_clock_scope, expr.span);
  unsupported(expr.span, fmt::format("{} without a clock", expr.name));
}

Word Elaborator::sampled_argument(const Expr& expr, Frame& frame) {
  if (expr.args.empty() || expr.args[0].kind == ExprKind::kEmpty) fail(expr.span, fmt::format("{} needs an argument", expr.name));
  Frame plain = frame;
  plain.env = nullptr;  // sampled values are those before the clock edge
  const ExprType type = type_of(expr.args[0], plain);
  if (type.type && type.type->is_unpacked) return evaluate_as(expr.args[0], type.type, plain);
  return evaluate(expr.args[0], type.width, type.is_signed, plain);
}

Word Elaborator::evaluate_system_call(const Expr& expr, Frame& frame) {
  const std::string& name = expr.name;
  const auto one = [](Lit lit) { return Word{lit}; };
  const auto need = [&](size_t low, size_t high) {
    if (expr.args.size() < low || expr.args.size() > high) fail(expr.span, fmt::format("wrong number of arguments of {}", name));
  };
  if (name == "$signed" || name == "$unsigned") {
    need(1, 1);
    return evaluate_self(expr.args[0], frame);
  }
  if (name == "$sampled") {
    need(1, 1);
    return sampled_argument(expr, frame);
  }
  if (name == "$clog2") {
    need(1, 1);
    const int64_t value = constant(expr.args[0], frame, "the argument of $clog2");
    int bits = 0;
    while (bits < 62 && (int64_t{1} << bits) < value) ++bits;
    return constant_word(static_cast<uint64_t>(bits), 32);
  }
  if (name == "$bits") {
    need(1, 1);
    const Expr& arg = expr.args[0];
    if (arg.kind == ExprKind::kType) return constant_word(static_cast<uint64_t>(resolve_type(*arg.type, frame.scope)->width), 32);
    if (arg.kind == ExprKind::kName) {
      const Symbol* symbol = resolve(arg, frame);
      if (symbol && symbol->kind == Symbol::Kind::kType) return constant_word(static_cast<uint64_t>(symbol->type->width), 32);
    }
    return constant_word(static_cast<uint64_t>(type_of(arg, frame).width), 32);
  }
  if (name == "$size" || name == "$left" || name == "$right" || name == "$high" || name == "$low") {
    need(1, 1);
    const Type* type = select_type(expr.args[0], frame);
    if (!type || !type->is_array()) fail(expr.span, fmt::format("{} of what is no array", name));
    const int value = name == "$size" ? type->count() : name == "$left" ? type->left : name == "$right" ? type->right
                      : name == "$high" ? type->high() : type->low();
    return constant_word(static_cast<uint64_t>(static_cast<int64_t>(value)), 32);
  }
  if (name == "$isunknown") {
    need(1, 1);
    (void)evaluate_self(expr.args[0], frame);
    return one(kFalse);
  }
  if (name == "$countones" || name == "$onehot" || name == "$onehot0") {
    need(1, 1);
    const Word word = evaluate_self(expr.args[0], frame);
    if (name == "$countones") return count_ones(aig_, word, 32);
    const Lit most = at_most_one(aig_, word);
    return one(name == "$onehot" ? aig_.land(most, any(aig_, word)) : most);
  }
  if (name == "$countbits") {
    need(2, 8);
    const Word word = evaluate_self(expr.args[0], frame);
    bool ones = false, zeros = false;
    for (size_t i = 1; i < expr.args.size(); ++i) {
      if (expr.args[i].kind == ExprKind::kNumber && expr.args[i].number->has_unknown()) continue;
      (constant(expr.args[i], frame, "a control bit") & 1 ? ones : zeros) = true;
    }
    if (ones && zeros) return constant_word(word.size(), 32);
    if (!ones && !zeros) return constant_word(0, 32);
    return count_ones(aig_, ones ? word : invert(word), 32);
  }
  if (name == "$past") {
    need(1, 4);
    int64_t cycles = 1;
    if (expr.args.size() > 1 && expr.args[1].kind != ExprKind::kEmpty && expr.args[1].kind != ExprKind::kEvent) cycles = constant(expr.args[1], frame, "the depth of $past");
    if (cycles < 1 || cycles > 256) unsupported(expr.span, "$past deeper than 256 cycles or of 0 cycles");
    Lit gate = kTrue;
    if (expr.args.size() > 2 && expr.args[2].kind != ExprKind::kEmpty && expr.args[2].kind != ExprKind::kEvent) {
      Frame plain = frame;
      plain.env = nullptr;
      gate = condition(expr.args[2], plain);
    }
    const Word word = sampled_argument(expr, frame);
    return past(word, static_cast<int>(cycles), gate, call_clock(expr, 3, frame));
  }
  if (name == "$rose" || name == "$fell" || name == "$stable" || name == "$changed") {
    need(1, 2);
    Word now = sampled_argument(expr, frame);
    const Clock clock = call_clock(expr, 1, frame);
    if (name == "$rose" || name == "$fell") {
      now.resize(1);
      const Word before = past(now, 1, kTrue, clock);
      return one(name == "$rose" ? aig_.land(now[0], negate(before[0])) : aig_.land(negate(now[0]), before[0]));
    }
    return one(invert_if(equal(aig_, now, past(now, 1, kTrue, clock)), name == "$changed"));
  }
  unsupported(expr.span, name);
}

}  // namespace callie::assertions
