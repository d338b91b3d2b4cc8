#include <algorithm>

#include "assertions/generate/author.h"
#include "assertions/generate/expressions.h"
#include "assertions/generate/paths.h"

namespace callie::assertions {

using ast::Expr;
using ast::Item;
using ast::ItemKind;
using ast::Op;
using ast::Stmt;
using ast::StmtKind;
using Node = Skeleton::Node;

namespace {

Stmt assign(Expr target, Expr value, bool nonblocking) {
  Stmt out;
  out.kind = StmtKind::kAssign;
  out.target = std::move(target);
  out.expr = std::move(value);
  out.nonblocking = nonblocking;
  return out;
}

Stmt block(std::vector<Stmt> body) {
  Stmt out;
  out.kind = StmtKind::kBlock;
  out.body = std::move(body);
  return out;
}

Stmt if_statement(Expr condition, Stmt then_part) {
  Stmt out;
  out.kind = StmtKind::kIf;
  out.expr = std::move(condition);
  out.body.push_back(std::move(then_part));
  return out;
}

/// Turns skeleton nodes into statements.
class Filler {
 public:
  Filler(Author& author, bool nonblocking) : author_(author), nonblocking_(nonblocking) {}

  void add_target(Expr target, int width) { targets_.push_back({std::move(target), width}); }
  size_t targets() const { return targets_.size(); }

  std::vector<Stmt> fill(const std::vector<Node>& list) {
    std::vector<Stmt> out;
    std::vector<size_t> written;
    for (const Node& node : list) {
      switch (node.kind) {
        case Node::Kind::kAssign: {
          const size_t i = static_cast<size_t>(node.target) % targets_.size();
          if (std::find(written.begin(), written.end(), i) != written.end()) break;
          written.push_back(i);
          out.push_back(assign(targets_[i].expr, author_.value(targets_[i].width), nonblocking_));
          break;
        }
        case Node::Kind::kIf: {
          Stmt s = if_statement(author_.condition(), block(fill(node.parts[0])));
          if (node.parts.size() > 1) {
            std::vector<Stmt> other = fill(node.parts[1]);
            if (other.size() == 1 && other[0].kind == StmtKind::kIf) s.body.push_back(std::move(other[0]));
            else s.body.push_back(block(std::move(other)));
          }
          out.push_back(std::move(s));
          break;
        }
        case Node::Kind::kCase: out.push_back(fill_case(node)); break;
      }
    }
    return out;
  }

 private:
  Stmt fill_case(const Node& node) {
    Dice& dice = author_.dice;
    int labels = 0;
    bool has_default = false;
    for (int n : node.labels) {
      labels += n;
      has_default = has_default || n == 0;
    }
    int width = 1;
    while ((1 << width) < labels + 1) ++width;
    if (width < 5 && dice.chance(50)) ++width;
    Stmt out;
    out.kind = StmtKind::kCase;
    const bool wild = node.case_kind == ast::CaseKind::kCasez || node.case_kind == ast::CaseKind::kCasex;
    out.case_kind = wild ? ast::CaseKind::kCasez : ast::CaseKind::kCase;
    out.expr = ast::make_name(author_.input(Names::Role::kSelect, width));
    std::vector<uint64_t> values;
    for (uint64_t v = 0; v < (uint64_t{1} << width); ++v) values.push_back(v);
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[static_cast<size_t>(dice.below(static_cast<int>(i)))]);
    const char base = dice.chance(60) ? 'b' : dice.chance(50) ? 'd' : 'h';
    size_t next = 0;
    bool has_wild = false;
    for (size_t a = 0; a < node.parts.size(); ++a) {
      ast::CaseArm arm;
      for (int n = 0; n < node.labels[a]; ++n) {
        Expr label = ast::make_number_expr(width, values[next++], wild ? 'b' : base);
        if (wild && dice.chance(60)) {
          // ? in some low bits, never in all.
          for (int bit = 0; bit < dice.between(1, width - 1); ++bit) {
            label.number->unknown[0] |= uint64_t{1} << bit;
            label.number->value[0] |= uint64_t{1} << bit;
          }
          has_wild = true;
        }
        arm.labels.push_back(std::move(label));
      }
      arm.body.push_back(block(fill(node.parts[a])));
      out.arms.push_back(std::move(arm));
    }
    if (node.unique == ast::Uniqueness::kUnique && has_default && !has_wild) out.unique = ast::Uniqueness::kUnique;
    return out;
  }

  struct Target {
    Expr expr;
    int width;
  };
  Author& author_;
  bool nonblocking_;
  std::vector<Target> targets_;
};

bool always_written(const PathTree& tree, const std::string& target) {
  for (const Path& path : paths_for(tree, target)) {
    if (!path.value(target)) return false;
  }
  return true;
}

// always_ff @(clock [or reset]) begin [if (reset) ... else] body end
Item clocked_process(const Snippet& snippet, std::vector<Stmt> body, std::vector<Stmt> reset_body, const std::string& label) {
  Stmt inner = block(std::move(body));
  if (snippet.reset) {
    Stmt s = if_statement(*snippet.reset_active(), block(std::move(reset_body)));
    s.body.push_back(std::move(inner));
    inner = block({std::move(s)});
  }
  inner.label = label;
  Item out;
  out.kind = ItemKind::kAlways;
  out.always = ast::AlwaysKind::kFf;
  Stmt timed;
  timed.kind = StmtKind::kTimed;
  timed.event = snippet.event();
  if (snippet.reset && snippet.reset->async) {
    ast::EventTerm term;
    term.edge = snippet.reset->level ? ast::Edge::kPos : ast::Edge::kNeg;
    term.expr = ast::make_name(snippet.reset->name);
    timed.event->terms.push_back(term);
  }
  timed.body.push_back(std::move(inner));
  out.body.push_back(std::move(timed));
  return out;
}

Item combinational_process(std::vector<Stmt> body, const std::string& label) {
  Item out;
  out.kind = ItemKind::kAlways;
  out.always = ast::AlwaysKind::kComb;
  Stmt b = block(std::move(body));
  b.label = label;
  out.body.push_back(std::move(b));
  return out;
}

void choose_clock(Snippet& snippet, Dice& dice, Names& names, bool negedge, bool with_reset, bool async) {
  snippet.clocked = true;
  snippet.clock = names.take(Names::Role::kClock);
  snippet.negedge = negedge;
  if (!with_reset) return;
  Snippet::Reset reset;
  reset.async = async;
  reset.level = dice.chance(async ? 25 : 60) ? 1 : 0;
  reset.name = names.take_reset(reset.level == 0);
  snippet.reset = reset;
}

}  // namespace

StatusOr<Snippet> synthesize(const Skeleton& skeleton, Dice& dice, bool test_names) {
  const int branches = skeleton.branches();
  if (skeleton.process == Skeleton::Process::kLatch || skeleton.assigns() == 0 || skeleton.assigns() > 28 || branches > 16) {
    return error(StatusCode::kUnimplemented, "a skeleton of no use");
  }
  Snippet snippet;
  Names names(dice, test_names);
  snippet.module_name = names.take(Names::Role::kBlock);
  snippet.block_name = names.take(Names::Role::kBlock);
  const bool clocked = skeleton.process != Skeleton::Process::kComb;
  if (clocked) {
    choose_clock(snippet, dice, names, skeleton.negedge || dice.chance(12), skeleton.process != Skeleton::Process::kClocked,
                 skeleton.process == Skeleton::Process::kAsyncReset);
  }
  Author author(dice, snippet, names);
  Filler filler(author, clocked);
  const int n_targets = std::min(skeleton.targets(), dice.between(1, 4));
  for (int t = 0; t < n_targets; ++t) {
    const int width = dice.chance(30) ? 1 : author.width();
    const std::string name = author.target(width == 1 ? Names::Role::kControl : Names::Role::kData, width);
    if (width >= 4 && t + 1 < n_targets && dice.chance(12)) {
      // One register in two parts.
      const int cut = dice.between(1, width - 1);
      filler.add_target(part(ast::make_name(name), width - 1, cut), width - cut);
      filler.add_target(part(ast::make_name(name), cut - 1, 0), cut);
      ++t;
    } else {
      filler.add_target(ast::make_name(name), width);
      if (clocked) author.readable.push_back(name);
    }
  }
  std::vector<Stmt> body = filler.fill(skeleton.body);
  CALLIE_ASSIGN_OR_RETURN(const PathTree tree, execute_paths(block(body), 40));
  std::vector<Stmt> reset_body;
  const std::map<std::string, int> widths = snippet.widths();
  for (const std::string& target : targets_of(tree)) {
    Expr expr = ast::make_name(target);
    if (const size_t bracket = target.find('['); bracket != std::string::npos) {
      const size_t colon = target.find(':');
      const int high = std::atoi(target.c_str() + bracket + 1);
      expr = part(ast::make_name(target.substr(0, bracket)), high, colon == std::string::npos ? high : std::atoi(target.c_str() + colon + 1));
    }
    const int width = width_of(expr, widths);
    if (!clocked && !always_written(tree, target)) body.insert(body.begin(), assign(expr, author.value(width), false));
    if (snippet.reset) {
      const Expr value = dice.chance(75) ? ast::make_number_expr(width, 0, width == 1 ? 'b' : 'd') : author.constant(width);
      snippet.reset_values.emplace_back(target, value);
      reset_body.push_back(assign(expr, value, true));
    }
  }
  snippet.processes.push_back(clocked ? clocked_process(snippet, std::move(body), std::move(reset_body), "")
                                      : combinational_process(std::move(body), snippet.block_name));
  return snippet;
}

Snippet synthesize_pipeline(Dice& dice, bool test_names) {
  Snippet snippet;
  snippet.kind = "multi-cycle";
  Names names(dice, test_names);
  snippet.module_name = names.take(Names::Role::kBlock);
  snippet.block_name = names.take(Names::Role::kBlock);
  const bool with_reset = dice.chance(60);
  choose_clock(snippet, dice, names, dice.chance(12), with_reset, with_reset && dice.chance(60));
  Author author(dice, snippet, names);
  Snippet::Pipeline pipeline;
  const int depth = dice.between(2, 4);
  const int width = dice.chance(25) ? 1 : author.width();
  const bool gated = dice.chance(50);
  if (gated) pipeline.enable = ast::make_name(author.input(Names::Role::kControl, 1));
  std::vector<Stmt> stages, reset_body;
  for (int i = 0; i < depth; ++i) {
    const std::string name = author.target(width == 1 ? Names::Role::kControl : Names::Role::kData, width);
    Expr value = i == 0 ? author.value(width) : ast::make_name(pipeline.registers.back());
    if (i == 0 && value.kind == ast::ExprKind::kNumber) value = ast::make_name(author.source(width));
    if (i > 0 && width > 1 && dice.chance(30)) value = ast::make_binary(dice.chance(50) ? Op::kAdd : Op::kBitXor, std::move(value), author.nonzero(width));
    if (i > 0 && width == 1 && dice.chance(30)) value = ast::make_unary(Op::kNot, std::move(value));
    pipeline.registers.push_back(name);
    pipeline.stages.push_back(value);
    stages.push_back(assign(ast::make_name(name), value, true));
    const Expr zero = ast::make_number_expr(width, 0, width == 1 ? 'b' : 'd');
    if (with_reset) {
      snippet.reset_values.emplace_back(name, zero);
      reset_body.push_back(assign(ast::make_name(name), zero, true));
    }
  }
  std::vector<Stmt> body;
  if (gated) body.push_back(if_statement(*pipeline.enable, block(std::move(stages))));
  else body = std::move(stages);
  // A small control structure beside it.
  if (dice.chance(70)) {
    const int w = dice.chance(40) ? 1 : author.width();
    const std::string name = author.target(w == 1 ? Names::Role::kControl : Names::Role::kData, w);
    author.readable.push_back(name);
    Stmt s = if_statement(author.condition(), block({assign(ast::make_name(name), author.value(w), true)}));
    if (dice.chance(60)) s.body.push_back(dice.chance(50) ? block({assign(ast::make_name(name), author.value(w), true)})
                                                           : if_statement(author.condition(), block({assign(ast::make_name(name), author.value(w), true)})));
    body.push_back(std::move(s));
    if (with_reset) {
      const Expr zero = ast::make_number_expr(w, 0, w == 1 ? 'b' : 'd');
      snippet.reset_values.emplace_back(name, zero);
      reset_body.push_back(assign(ast::make_name(name), zero, true));
    }
  }
  snippet.processes.push_back(clocked_process(snippet, std::move(body), std::move(reset_body), ""));
  snippet.pipeline = std::move(pipeline);
  return snippet;
}

Snippet synthesize_machine(Dice& dice, bool test_names) {
  Snippet snippet;
  snippet.kind = "fsm";
  Names names(dice, test_names);
  snippet.module_name = names.take(Names::Role::kBlock);
  snippet.block_name = names.take(Names::Role::kBlock);
  choose_clock(snippet, dice, names, dice.chance(8), true, dice.chance(70));
  Author author(dice, snippet, names);
  const int n = dice.between(3, 5);
  const int state_width = n <= 4 ? 2 : 3;
  std::vector<std::string> states;
  for (int i = 0; i < n; ++i) states.push_back(names.take(Names::Role::kState));
  const std::string type_name = names.take(Names::Role::kSelect) + "_t";
  Item typedef_item;
  typedef_item.kind = ItemKind::kTypedef;
  typedef_item.type.kind = ast::TypeKind::kEnum;
  typedef_item.type.base = logic_type(state_width);
  for (const std::string& state : states) {
    ast::EnumMember member;
    member.name = state;
    typedef_item.type.members.push_back(member);
  }
  typedef_item.names.emplace_back();
  typedef_item.names[0].name = type_name;
  snippet.types.push_back(std::move(typedef_item));
  const std::string base = names.take(Names::Role::kSelect);
  const std::string state = base + "_q", next = base + "_d";
  for (const std::string& name : {state, next}) {
    Snippet::Signal s;
    s.name = name;
    s.width = state_width;
    s.type_name = type_name;
    s.members = states;
    snippet.signals.push_back(s);
  }
  // Next state and outputs.
  std::vector<Stmt> comb;
  comb.push_back(assign(ast::make_name(next), ast::make_name(state), false));
  const std::string busy = author.target(Names::Role::kControl, 1);
  comb.push_back(assign(ast::make_name(busy), ast::make_number_expr(1, 0, 'b'), false));
  Stmt choice;
  choice.kind = StmtKind::kCase;
  choice.expr = ast::make_name(state);
  if (dice.chance(40)) choice.unique = ast::Uniqueness::kUnique;
  for (int i = 0; i < n; ++i) {
    ast::CaseArm arm;
    arm.labels.push_back(ast::make_name(states[static_cast<size_t>(i)]));
    std::vector<Stmt> body;
    const int forward = (i + 1) % n;
    Stmt go = if_statement(author.condition(), block({assign(ast::make_name(next), ast::make_name(states[static_cast<size_t>(forward)]), false)}));
    if (dice.chance(45)) {
      const int other = (i + dice.between(2, n - 1)) % n;
      go.body.push_back(if_statement(author.condition(), block({assign(ast::make_name(next), ast::make_name(states[static_cast<size_t>(other)]), false)})));
    }
    if (dice.chance(50)) body.push_back(assign(ast::make_name(busy), dice.chance(70) ? ast::make_number_expr(1, 1, 'b') : author.value(1), false));
    body.push_back(std::move(go));
    arm.body.push_back(block(std::move(body)));
    choice.arms.push_back(std::move(arm));
  }
  ast::CaseArm other;
  other.body.push_back(block({assign(ast::make_name(next), ast::make_name(states[0]), false)}));
  choice.arms.push_back(std::move(other));
  comb.push_back(std::move(choice));
  snippet.processes.push_back(combinational_process(std::move(comb), snippet.block_name));
  // The state register, and a register that fills behind a handshake.
  std::vector<Stmt> body{assign(ast::make_name(state), ast::make_name(next), true)};
  std::vector<Stmt> reset_body{assign(ast::make_name(state), ast::make_name(states[0]), true)};
  snippet.reset_values.emplace_back(state, ast::make_name(states[0]));
  if (dice.chance(75)) {
    const int w = author.width();
    const std::string valid = author.target(Names::Role::kControl, 1), data = author.target(Names::Role::kData, w);
    const std::string ready = author.input(Names::Role::kControl, 1), request = author.input(Names::Role::kControl, 1);
    const Expr free_slot = ast::make_binary(Op::kLogicOr, ast::make_unary(Op::kNot, ast::make_name(valid)), ast::make_name(ready));
    Expr take = ast::make_name(request);
    if (dice.chance(60)) take = ast::make_binary(Op::kLogicAnd, std::move(take), ast::make_binary(Op::kEq, ast::make_name(state), ast::make_name(dice.pick(states))));
    std::vector<Stmt> inner{assign(ast::make_name(valid), take, true),
                            if_statement(take, block({assign(ast::make_name(data), author.value(w), true)}))};
    body.push_back(if_statement(free_slot, block(std::move(inner))));
    for (const auto& [name, width] : {std::pair{valid, 1}, std::pair{data, w}}) {
      const Expr zero = ast::make_number_expr(width, 0, width == 1 ? 'b' : 'd');
      snippet.reset_values.emplace_back(name, zero);
      reset_body.push_back(assign(ast::make_name(name), zero, true));
    }
    if (ready != request) snippet.handshake = {valid, ready, data};
    snippet.kind = "handshake";
  }
  snippet.processes.push_back(clocked_process(snippet, std::move(body), std::move(reset_body), ""));
  return snippet;
}

}  // namespace callie::assertions
