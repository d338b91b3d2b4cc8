#include "assertions/judge/judge.h"

#include <algorithm>

#include "assertions/judge/causes.h"
#include "assertions/syntax/walk.h"

namespace callie::assertions {
namespace {

constexpr int kSettleCycles = 8;
constexpr int kMaxRepairs = 200;

bool has_error(const std::vector<Diagnostic>& list) {
  return std::any_of(list.begin(), list.end(), [](const Diagnostic& d) { return d.is_error; });
}

// What a place that stands in no file of the answer is about.
std::string_view code_of_problem(const SourceError& problem) {
  if (problem.code == StatusCode::kUnimplemented) return code::kUnsupported;
  for (std::string_view head : {"unknown name", "unknown clock", "unknown property", "unknown function", "no member", "unknown task"}) {
    if (problem.message.starts_with(head)) return code::kUnknownName;
  }
  return code::kInvalidExpression;
}

bool has_clock(const ast::Item& item, const std::vector<ast::Item>& support, const ast::Module& module) {
  if (item.kind == ast::ItemKind::kAlways) return true;  // immediate, or the process's clock
  if (!item.assertion->concurrent) return true;
  const auto default_clock = [](const std::vector<ast::Item>& items) {
    return std::any_of(items.begin(), items.end(), [](const ast::Item& i) {
      return i.kind == ast::ItemKind::kDefaultClocking || (i.kind == ast::ItemKind::kClocking && i.is_default);
    });
  };
  if (default_clock(support) || default_clock(module.items)) return true;
  bool found = false, named = false;
  const auto on_property = [&](ast::Prop& p) {
    found = found || p.kind == ast::PropKind::kClocked;
    named = named || p.kind == ast::PropKind::kInstance;
  };
  ast::Item copy = item;
  visit(copy, [&](ast::Expr& e) { named = named || (e.kind == ast::ExprKind::kCall && !e.name.starts_with("$")); }, on_property);
  if (found || !named) return found;
  for (const ast::Item& other : support) {
    ast::Item body = other;
    visit(body, {}, on_property);
  }
  return found;
}

}  // namespace

std::string_view name(Relation relation) {
  switch (relation) {
    case Relation::kNone: return "";
    case Relation::kFull: return "full";
    case Relation::kStronger: return "stronger";
    case Relation::kWeaker: return "weaker";
    case Relation::kIncomparable: return "incomparable";
  }
  return "";
}

struct Judge::State {
  JudgeOptions options;
  std::string id;
  std::optional<Bench> bench;
  std::optional<Span> missing_semicolon;  ///< in the module
  std::optional<SourceError> broken;   ///< the module cannot be used at all
  SourceSet sources;                   ///< module and reference assertions
  ParsedAnswer reference;
  std::vector<const ast::Item*> reference_items;
  std::vector<ParsedAnswer> obligations;
  std::vector<Bench> wrong;

  ProveOptions prove_options() const {
    ProveOptions out;
    out.time_limit_s = options.time_limit_s;
    return out;
  }

  using Support = std::vector<const std::vector<ast::Item>*>;

  // Each of `conclusions`: does it hold in every run in which all of `premises` hold? Nothing when that is not known.
  std::vector<std::optional<bool>> implied(const SourceSet& texts, const Support& support, const std::vector<const ast::Item*>& premises,
                                           const std::vector<const ast::Item*>& conclusions) const {
    std::vector<std::optional<bool>> out(conclusions.size());
    ProveOptions prove = prove_options();
    prove.check_vacuity = false;
    prove.keep_witness = false;
    std::vector<size_t> open(conclusions.size());
    for (size_t i = 0; i < open.size(); ++i) open[i] = i;
    for (int settle : {0, kSettleCycles}) {
      if (open.empty()) break;
      prove.settle_cycles = settle;
      std::vector<Bench::Item> items;
      for (const ast::Item* premise : premises) items.push_back({premise, true});
      for (size_t i : open) items.push_back({conclusions[i], false});
      const Bench::Outcome outcome = bench->prove(texts, Bench::Base::kFree, support, items, prove);
      if (outcome.failed) return out;
      std::vector<size_t> still;
      for (size_t n = 0; n < open.size(); ++n) {
        const Verdict verdict = outcome.results[n].verdict;
        if (verdict == Verdict::kProven || verdict == Verdict::kVacuous) out[open[n]] = true;
        if (verdict == Verdict::kUnsupported) out[open[n]] = false;  // two clocks: they say nothing about each other
        if (verdict != Verdict::kRefuted) continue;
        out[open[n]] = false;
        still.push_back(open[n]);
      }
      if (premises.empty()) break;
      open = std::move(still);
    }
    return out;
  }

  Relation relate(const SourceSet& texts, const Support& support, const std::vector<const ast::Item*>& answer) const {
    if (reference_items.empty() || answer.empty()) return Relation::kNone;
    const auto all = [](const std::vector<std::optional<bool>>& list) -> std::optional<bool> {
      bool open = false;
      for (const auto& one : list) {
        if (one && !*one) return false;
        open = open || !one;
      }
      return open ? std::nullopt : std::optional<bool>(true);
    };
    const auto stronger = all(implied(texts, support, answer, reference_items));
    const auto weaker = all(implied(texts, support, reference_items, answer));
    if (!stronger || !weaker) return Relation::kNone;
    if (*stronger && *weaker) return Relation::kFull;
    if (*stronger) return Relation::kStronger;
    return *weaker ? Relation::kWeaker : Relation::kIncomparable;
  }

  void judge_one(const SourceSet& texts, const ParsedAnswer& answer, const AnswerAssertion& assertion, AssertionJudgement& out) const;
  void find_siblings(const SourceSet& texts, const ParsedAnswer& answer, AnswerJudgement& out) const;
  double count_kills(const SourceSet& texts, const ParsedAnswer& answer, const std::vector<const ast::Item*>& proven) const;
};

Judge::Judge(const Task& task, const JudgeOptions& options) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.options = options;
  s.id = task.id;
  SourceError problem;
  std::string text = task.module;
  StatusOr<Bench> bench = Bench::create(text, &problem);
  for (int n = 0; n < kMaxRepairs && !bench.ok() && problem.message.starts_with("expected ';'") && problem.span.begin <= text.size(); ++n) {
    if (!s.missing_semicolon) s.missing_semicolon = problem.span;
    text.insert(problem.span.begin, ";");
    bench = Bench::create(text, &problem);
  }
  if (!bench.ok()) {
    s.sources.add("module", task.module);
    s.broken = problem;
    return;
  }
  s.bench.emplace(std::move(*bench));
  s.sources = s.bench->sources();
  s.reference = parse_answer(s.sources, "reference", task.assertion, "reference$", s.bench->names());
  for (const AnswerAssertion& assertion : s.reference.assertions) {
    // A reference assertion that does not resolve must not hide the others.
    if (!assertion.parsed) continue;
    if (!s.bench->prove(s.sources, Bench::Base::kFree, {&s.reference.support}, {{&assertion.item, true}}, s.prove_options()).failed) {
      s.reference_items.push_back(&assertion.item);
    }
  }
  for (size_t i = 0; i < task.obligations.size(); ++i) {
    s.obligations.push_back(parse_answer(s.sources, "reference", task.obligations[i], fmt::format("obligation{}$", i), s.bench->names()));
  }
  if (!options.wrong_designs) return;
  for (const std::string& text : task.wrong_modules) {
    StatusOr<Bench> wrong = Bench::create(text, &problem);
    if (wrong.ok() && !wrong->broken()) s.wrong.push_back(std::move(*wrong));
  }
}

Judge::~Judge() = default;
Judge::Judge(Judge&&) noexcept = default;

void Judge::State::judge_one(const SourceSet& texts, const ParsedAnswer& answer, const AnswerAssertion& assertion,
                             AssertionJudgement& out) const {
  const Support support{&answer.support};
  const ProveOptions prove = prove_options();
  const auto say = [&](Span span, std::string_view which, std::string message, bool is_error = true) {
    out.diagnostics.push_back(diagnose(texts, span, which, std::move(message), is_error));
  };
  check_literals(texts, assertion.item, out.diagnostics);
  if (!has_clock(assertion.item, answer.support, bench->module())) {
    say(assertion.span, code::kUnclocked, "a concurrent assertion needs a clock: @(posedge ...), or an immediate assertion for combinational code");
  }
  const std::vector<Bench::Item> one{{&assertion.item, false}};
  const auto refuse = [&](const SourceError& problem) {
    const bool in_module = texts.name(problem.span.file) == "module";
    const std::string_view which = code_of_problem(problem);
    say(in_module ? assertion.span : problem.span, which,
        which == code::kUnsupported ? "not part of the subset: " + problem.message : problem.message);
    out.reason = problem.message;
    out.verdict = which == code::kUnsupported ? "unsupported" : "invalid";
  };
  // As a statement about signals alone: what holds there says nothing about the design.
  const Bench::Outcome alone = bench->prove(texts, Bench::Base::kFree, support, one, prove);
  if (alone.failed) return refuse(alone.problem);
  if (const AssertionResult& r = alone.results[0]; r.verdict == Verdict::kUnsupported && r.reason_code != StatusCode::kUnimplemented) {
    return refuse({r.span, r.reason, r.reason_code});
  }
  out.resolves = true;
  const Verdict as_statement = alone.results[0].verdict;
  if (options.relations) out.relation = relate(texts, {&answer.support, &reference.support}, {&assertion.item});
  if (bench->broken()) {
    out.verdict = "unsupported";
    out.reason = "the module cannot be elaborated";
    return;
  }
  Bench::Outcome outcome = bench->prove(texts, Bench::Base::kDesign, support, one, prove);
  if (outcome.failed) {
    out.resolves = false;
    return refuse(outcome.problem);
  }
  AssertionResult& result = outcome.results[0];
  out.verdict = name(result.verdict);
  out.method = result.method;
  out.depth = result.depth;
  out.reason = result.reason;
  out.proven = result.verdict == Verdict::kProven;
  const std::optional<AssertionView> view = view_of(assertion.item);
  const auto proven = [&](const ast::Item& item) {
    const Bench::Outcome other = bench->prove(texts, Bench::Base::kDesign, support, {{&item, false}}, prove);
    return !other.failed && other.results[0].verdict == Verdict::kProven;
  };
  switch (result.verdict) {
    case Verdict::kProven: break;
    case Verdict::kVacuous:
      say(view ? view->antecedent_span : assertion.span, code::kVacuous,
          as_statement == Verdict::kVacuous ? "the antecedent can never be true" : "the antecedent is never true in this design");
      break;
    case Verdict::kUnsupported:
      say(result.span, code::kUnsupported, "not part of the subset: " + result.reason);
      if (view) explain_clock(texts, *view, proven, out.diagnostics);
      break;
    case Verdict::kUndetermined: say(assertion.span, code::kUndetermined, "not decided: " + result.reason); break;
    case Verdict::kRefuted: {
      std::string where;
      if (result.witness) where = fmt::format(" in cycle {} of a run of the design", result.witness->cycles.size() - 1);
      say(assertion.span, code::kRefuted, "fails" + where);
      out.witness = std::move(result.witness);
      if (view) explain_refutation(texts, *bench, *view, proven, out.diagnostics);
      break;
    }
  }
  if (as_statement == Verdict::kProven) {
    say(assertion.span, code::kTriviallyTrue, "holds whatever the signals do: it says nothing about the design");
  }
  if (as_statement == Verdict::kVacuous && result.verdict == Verdict::kProven) {
    say(assertion.span, code::kVacuous, "the antecedent can never be true");
  }
  const bool known = std::any_of(out.diagnostics.begin(), out.diagnostics.end(), [](const Diagnostic& d) { return d.code == code::kSelfAssignedCondition; });
  if (view && !known) check_condition(texts, *bench, *view, out.diagnostics);
  out.meaningful = out.proven && as_statement != Verdict::kProven && as_statement != Verdict::kVacuous;
}

// An if beside another one, asserted as if it were inside: the assertion holds, and the path on which only the second
// condition is true is asserted nowhere.
void Judge::State::find_siblings(const SourceSet& texts, const ParsedAnswer& answer, AnswerJudgement& out) const {
  std::vector<const ast::Item*> proven;
  for (size_t i = 0; i < out.assertions.size(); ++i) {
    if (out.assertions[i].proven) proven.push_back(&answer.assertions[i].item);
  }
  for (size_t i = 0; i < out.assertions.size(); ++i) {
    if (!out.assertions[i].proven) continue;
    const std::optional<AssertionView> view = view_of(answer.assertions[i].item);
    if (!view) continue;
    Span sibling{};
    const std::optional<ast::Item> wider = without_sibling(*bench, *view, &sibling);
    if (!wider) continue;
    const Bench::Outcome holds = bench->prove(texts, Bench::Base::kDesign, {&answer.support}, {{&*wider, false}}, prove_options());
    if (holds.failed || holds.results[0].verdict != Verdict::kProven) continue;
    const auto covered = implied(texts, {&answer.support}, proven, {&*wider});
    if (covered[0].value_or(true)) continue;
    out.assertions[i].diagnostics.push_back(
        diagnose(texts, sibling, code::kSiblingAsNested, "this condition belongs to an if statement beside the one that assigns, not around it; "
                                                         "the case without it is asserted nowhere"));
  }
}

double Judge::State::count_kills(const SourceSet& texts, const ParsedAnswer& answer, const std::vector<const ast::Item*>& proven) const {
  size_t killed = 0;
  std::vector<Bench::Item> items;
  for (const ast::Item* item : proven) items.push_back({item, false});
  ProveOptions prove = prove_options();
  prove.check_vacuity = false;
  prove.keep_witness = false;
  for (const Bench& wrong_design : wrong) {
    const Bench::Outcome outcome = wrong_design.prove(texts, Bench::Base::kDesign, {&answer.support}, items, prove);
    killed += !outcome.failed && std::any_of(outcome.results.begin(), outcome.results.end(),
                                             [](const AssertionResult& r) { return r.verdict == Verdict::kRefuted; });
  }
  return static_cast<double>(killed) / static_cast<double>(wrong.size());
}

AnswerJudgement Judge::judge(const std::string& text) const {
  const State& s = *state_;
  AnswerJudgement out;
  out.id = s.id;
  SourceSet texts = s.sources;
  const std::vector<std::string> no_names;
  const ParsedAnswer answer = parse_answer(texts, "answer", text, "answer$", s.bench ? s.bench->names() : no_names);
  out.diagnostics = answer.diagnostics;
  const auto about_module = [&](Span span, std::string_view which, std::string message) {
    Diagnostic d = diagnose(texts, span, which, std::move(message));
    d.in_module = true;
    out.diagnostics.push_back(std::move(d));
  };
  if (s.missing_semicolon) about_module(*s.missing_semicolon, code::kMissingSemicolon, "the code to assert on lacks a ';'");
  if (s.broken) {
    about_module(s.broken->span, code::kModule, "the code to assert on does not parse: " + s.broken->message);
  } else if (s.bench->structure().mixes) {
    about_module(s.bench->structure().mixed_at, code::kMixedAssignments, "the code to assert on mixes = and <= in one clocked block");
  } else if (s.bench->broken()) {
    about_module(s.bench->broken()->span, code::kModule, "the code to assert on cannot be elaborated: " + s.bench->broken()->message);
  }
  for (const AnswerAssertion& assertion : answer.assertions) {
    AssertionJudgement one;
    one.name = assertion.name;
    const Place at = texts.place(assertion.span);
    one.line = std::max(1, at.line);
    one.column = std::max(1, at.column);
    one.diagnostics = assertion.diagnostics;
    one.parses = assertion.parsed;
    one.verdict = "invalid";
    if (assertion.parsed && s.bench) s.judge_one(texts, answer, assertion, one);
    out.assertions.push_back(std::move(one));
  }
  if (s.bench && !s.bench->broken()) s.find_siblings(texts, answer, out);
  std::vector<const ast::Item*> proven;
  for (size_t i = 0; i < out.assertions.size(); ++i) {
    AssertionJudgement& one = out.assertions[i];
    one.accepted = one.meaningful && !has_error(one.diagnostics);
    if (one.meaningful) proven.push_back(&answer.assertions[i].item);
  }
  out.accepted = !out.assertions.empty() && !has_error(out.diagnostics) &&
                 std::all_of(out.assertions.begin(), out.assertions.end(), [](const AssertionJudgement& a) { return a.accepted; });
  if (!s.bench) return out;
  if (s.options.relations) {
    out.relation = s.relate(texts, {&answer.support, &s.reference.support}, proven);
    std::vector<const ast::Item*> obligations;
    State::Support support{&answer.support, &s.reference.support};
    for (const ParsedAnswer& one : s.obligations) {
      support.push_back(&one.support);
      for (const AnswerAssertion& assertion : one.assertions) {
        if (assertion.parsed) obligations.push_back(&assertion.item);
      }
    }
    if (obligations.empty()) obligations = s.reference_items;
    if (!obligations.empty()) {
      double met = 0;
      if (!proven.empty()) {
        for (const auto& one : s.implied(texts, support, proven, obligations)) met += one.value_or(false);
      }
      out.implied = met / static_cast<double>(obligations.size());
    }
  }
  if (!s.wrong.empty()) out.kills = proven.empty() ? 0.0 : s.count_kills(texts, answer, proven);
  return out;
}

}  // namespace callie::assertions
