#include <algorithm>
#include <chrono>
#include <set>

#include "assertions/dataset/hash.h"
#include "assertions/generate/expressions.h"
#include "assertions/generate/generate.h"
#include "assertions/generate/lowered.h"
#include "assertions/generate/properties.h"
#include "assertions/mutate/mutate.h"
#include "assertions/prove/one_step.h"
#include "assertions/prove/witness.h"
#include "assertions/syntax/parser.h"
#include "assertions/syntax/printer.h"
#include "core/hash.h"

namespace callie::assertions {
namespace {

constexpr int kMutantsOfAssertion = 6;
constexpr int kDesignMutants = 6;
using Kind = StepResult::Kind;

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ast::Unit unit_of(ast::Module module) {
  ast::Unit out;
  out.modules.push_back(std::move(module));
  return out;
}

std::string shape_text(const Snippet& snippet) {
  std::string out;
  for (const ast::Item& process : snippet.processes) out += to_text(skeleton_of(process)).substr(1);
  return out;
}

uint64_t hash_of(const std::string& text) { return xxh64({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

/// Repositories are cut between the splits as a whole: every third one is held out.
bool is_test_repository(const ShapeBank& bank, const std::string& repo) {
  std::set<std::string> all;
  for (const Shape& shape : bank.shapes) all.insert(shape.source.repo);
  return static_cast<int>(std::distance(all.begin(), all.find(repo))) % 3 == 2;
}

class Candidate {
 public:
  Candidate(const GenerateOptions& options, const ShapeBank& bank, int64_t index, uint64_t seed)
      : options_(options), bank_(bank), index_(index), seed_(seed), dice_(seed) {
    test_ = options.train_test ? index % 10 == 9 : dice_.chance(25);
    tier_ = options.tier > 0 ? options.tier : options.vert_compat ? 1 : static_cast<int>(index % 4) + 1;
  }

  StatusOr<std::optional<Pair>> run() {
    if (!draw()) return std::optional<Pair>();
    const std::string shape = shape_text(snippet_);
    // A shape belongs to one split. A dataset without splits takes all of them.
    if (options_.train_test && (hash_of(shape) % 4 == 0) != test_) return std::optional<Pair>();
    pair_.hash.shape = hex_hash(shape);
    StatusOr<DerivedSet> set = derive(snippet_, options_.vert_compat, tier_, dice_);
    if (!set.ok()) return std::optional<Pair>();
    set_ = std::move(*set);
    begin_ = now_ms();
    CALLIE_ASSIGN_OR_RETURN(bool fit, check_free());
    if (!fit) return std::optional<Pair>();
    CALLIE_ASSIGN_OR_RETURN(fit, check_targets());
    if (!fit) return std::optional<Pair>();
    CALLIE_ASSIGN_OR_RETURN(fit, check_assertions());
    if (!fit) return std::optional<Pair>();
    CALLIE_RETURN_IF_ERROR(check_designs());
    CALLIE_RETURN_IF_ERROR(check_text());
    describe();
    return std::optional<Pair>(std::move(pair_));
  }

 private:
  bool draw() {
    if (tier_ == 3) {
      snippet_ = synthesize_pipeline(dice_, test_);
      return true;
    }
    if (tier_ == 4) {
      snippet_ = synthesize_machine(dice_, test_);
      return true;
    }
    Skeleton skeleton;
    if (tier_ == 1) {
      skeleton = vert_skeleton(dice_);
    } else if (bank_.shapes.empty() || dice_.chance(25)) {
      skeleton = random_skeleton(dice_);
    } else {
      const Shape& shape = dice_.pick(bank_.shapes);
      if (options_.train_test && is_test_repository(bank_, shape.source.repo) != test_) return false;
      skeleton = shape.skeleton;
      if (!shape.source.repo.empty()) pair_.source = shape.source;
    }
    StatusOr<Snippet> snippet = synthesize(skeleton, dice_, test_);
    if (!snippet.ok()) return false;
    snippet_ = std::move(*snippet);
    bool has_case = false, has_casez = false;
    for (const Skeleton::Node& node : skeleton.body) {
      has_case = has_case || node.kind == Skeleton::Node::Kind::kCase;
      has_casez = has_casez || (node.kind == Skeleton::Node::Kind::kCase && node.case_kind != ast::CaseKind::kCase);
    }
    snippet_.kind = has_casez ? "casez" : has_case ? "case" : "if";
    return true;
  }

  Status failed(const char* obligation, const std::string& what) const {
    return error(StatusCode::kInternal, "pair {} (seed {:#x}): {} does not hold: {}", index_, seed_, obligation, what);
  }

  void prove(const char* obligation, const char* engine) {
    Pair::Proof proof{obligation, engine, "proven", std::nullopt};
    const double now = now_ms();
    if (options_.timings) proof.ms = now - begin_;
    begin_ = now;
    pair_.proof.push_back(std::move(proof));
  }

  // Over signals without the design: consequents can be false, conditions are disjoint and exhaustive.
  StatusOr<bool> check_free() {
    std::vector<ast::Item> checks;
    for (const ast::Item& helper : set_.helpers) checks.push_back(helper);
    for (const Derived& d : set_.assertions) {
      // The assertion without its antecedent.
      ast::Item item = d.item;
      if (!item.assertion) {
        ast::Stmt check;
        check.kind = ast::StmtKind::kAssert;
        check.label = d.name;
        check.assertion = ast::Assertion{};
        check.assertion->expr = d.consequent;
        item.body = {check};
      } else {
        ast::Prop* body = &item.assertion->property->args[0];
        if (body->kind == ast::PropKind::kDisable) body = &body->args[0];
        body->args[0].expr = ast::make_number_expr(1, 1, 'b');
      }
      checks.push_back(std::move(item));
    }
    for (size_t i = 0; i < set_.path_sets.size(); ++i) {
      ast::Expr conditions;
      conditions.kind = ast::ExprKind::kConcat;
      for (const ast::Expr& condition : set_.path_sets[i].second) {
        // A condition of several bits counts as one.
        conditions.args.push_back(width_of(condition, snippet_.widths()) == 1 ? condition : ast::make_unary(ast::Op::kNot, ast::make_unary(ast::Op::kNot, condition)));
      }
      ast::Item item;
      item.kind = ast::ItemKind::kAlways;
      item.always = ast::AlwaysKind::kComb;
      ast::Stmt check;
      check.kind = ast::StmtKind::kAssert;
      check.label = fmt::format("complete_{}", i);
      check.assertion = ast::Assertion{};
      check.assertion->expr = ast::make_call("$onehot", {conditions});
      item.body.push_back(std::move(check));
      checks.push_back(std::move(item));
    }
    StepOptions step;
    step.seed = seed_;
    step.witnesses = false;
    CALLIE_ASSIGN_OR_RETURN(const std::vector<StepResult> results, decide(snippet_.module(checks, true), step));
    for (const StepResult& r : results) {
      if (r.name.starts_with("complete_")) {
        if (r.kind != Kind::kProven) return failed("P3", r.name + " " + r.reason);
      } else if (r.kind != Kind::kRefuted) {
        return false;  // a consequent that is always true
      }
    }
    return true;
  }

  StatusOr<std::vector<StepResult>> decide(ast::Module module, const StepOptions& step) {
    const SourceSet none;
    return decide_steps(none, unit_of(std::move(module)), step);
  }

  // A target that is the same constant whatever happens teaches nothing.
  StatusOr<bool> check_targets() {
    if (set_.constant_targets.empty()) return true;
    StepOptions step;
    step.seed = seed_;
    step.witnesses = false;
    step.check_fires = false;
    CALLIE_ASSIGN_OR_RETURN(const std::vector<StepResult> results, decide(snippet_.module(set_.constant_targets), step));
    return std::none_of(results.begin(), results.end(), [](const StepResult& r) { return r.kind == Kind::kProven; });
  }

  // The assertions and their wrong variants, in one module.
  StatusOr<bool> check_assertions() {
    std::vector<ast::Item> items = set_.helpers;
    struct Variant { size_t assertion; std::string kind; };
    std::map<std::string, Variant> variants;
    std::vector<ast::Item> mutants;
    const std::map<std::string, int> widths = mutation_widths();
    for (size_t i = 0; i < set_.assertions.size(); ++i) {
      const Derived& d = set_.assertions[i];
      items.push_back(d.item);
      if (d.sequence_item) {
        ast::Item copy = *d.sequence_item;
        copy.label = d.name + "_as_sequence";
        items.push_back(std::move(copy));
      }
      std::vector<AssertionMutant> all = assertion_mutants(d.item, widths);
      while (all.size() > kMutantsOfAssertion) all.erase(all.begin() + dice_.below(static_cast<int>(all.size())));
      for (size_t m = 0; m < all.size(); ++m) {
        const std::string label = fmt::format("{}_m{}", d.name, m);
        set_assertion_label(all[m].item, label);
        variants[label] = {i, all[m].kind};
        items.push_back(all[m].item);
      }
    }
    StepOptions step;
    step.seed = seed_;
    CALLIE_ASSIGN_OR_RETURN(const std::vector<StepResult> results, decide(snippet_.module(items), step));
    std::map<std::string, const ast::Item*> item_of;
    for (const ast::Item& item : items) item_of[assertion_label(item)] = &item;
    std::set<std::string> vacuous;
    for (const StepResult& r : results) {
      if (const auto it = variants.find(r.name); it != variants.end()) continue;
      if (r.kind != Kind::kProven) {
        return failed("P1", fmt::format("{} {}\n{}", r.name, r.reason, print(snippet_.module(items))));
      }
      if (!r.fires) vacuous.insert(r.name);
    }
    for (const StepResult& r : results) {
      const auto it = variants.find(r.name);
      if (it == variants.end() || r.kind == Kind::kUndecided || !r.fires) continue;
      // Wrong before the first clock only, by what was remembered there: nothing that a simulation would show.
      if (r.kind == Kind::kRefuted && !r.self_contained) continue;
      const std::string& of = set_.assertions[it->second.assertion].name;
      if (vacuous.contains(of)) continue;
      Pair::Mutant m;
      m.kind = "assertion:" + it->second.kind;
      m.of = of;
      m.text = trimmed(print(*item_of.at(r.name)));
      m.verdict = r.kind == Kind::kRefuted ? "refuted" : "equivalent";
      if (r.witness) m.witness = witness_json(*r.witness);
      pair_.mutants.push_back(std::move(m));
    }
    // Paths that no state takes say nothing.
    std::erase_if(set_.assertions, [&](const Derived& d) { return vacuous.contains(d.name) || vacuous.contains(d.name + "_as_sequence"); });
    if (set_.assertions.empty()) return false;
    prove("P1", "sat");
    prove("P2", "sat");
    prove("P3", "sat");
    prove("P4", "sat");
    return true;
  }

  std::map<std::string, int> mutation_widths() const {
    std::map<std::string, int> out;
    for (const Snippet::Signal& s : snippet_.signals) {
      if (s.type_name.empty()) out[s.name] = s.width;
    }
    return out;
  }

  // Since the set fixes every target on every path, a design on which all of it holds does the same.
  Status check_designs() {
    std::vector<ast::Item> items = set_.helpers;
    for (const Derived& d : set_.assertions) items.push_back(d.item);
    const ast::Module design = snippet_.module({});
    const std::vector<std::string> sites = design_mutation_sites(design);
    std::vector<size_t> order(sites.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<size_t>(dice_.below(static_cast<int>(i)))]);
    int tried = 0;
    for (size_t site : order) {
      if (tried >= kDesignMutants) break;
      ast::Module mutant = mutate_design(design, site);
      if (mutant == design) continue;
      const std::string text = print(mutant);
      mutant.items.insert(mutant.items.end(), items.begin(), items.end());
      StepOptions step;
      step.seed = seed_;
      step.stop_at_refuted = true;
      step.check_fires = false;
      StatusOr<std::vector<StepResult>> results = decide(std::move(mutant), step);
      if (!results.ok()) continue;  // no design any more: a loop, a reset that is none
      ++tried;
      Pair::Mutant m;
      m.kind = "design:" + sites[site];
      m.text = trimmed(text);
      bool undecided = false;
      for (const StepResult& r : *results) {
        undecided = undecided || r.kind == Kind::kUndecided;
        if (r.kind != Kind::kRefuted) continue;
        m.of = r.name;
        m.witness = witness_json(*r.witness);
      }
      if (m.of.empty() && undecided) continue;
      m.verdict = m.of.empty() ? "equivalent" : "refuted";
      pair_.mutants.push_back(std::move(m));
    }
    prove("P5", "sat");
    return ok_status();
  }

  // What is printed parses to the tree that was proven.
  Status check_text() {
    std::vector<ast::Item> items = set_.helpers;
    for (const Derived& d : set_.assertions) {
      items.push_back(d.item);
      if (!d.sequence_item) continue;
      ast::Item copy = *d.sequence_item;
      copy.label += "_as_sequence";
      items.push_back(std::move(copy));
    }
    const ast::Unit unit = unit_of(snippet_.module(items));
    const std::string text = print(unit);
    SourceSet sources;
    StatusOr<ast::Unit> again = parse_text(sources, "pair", text);
    if (!again.ok()) return failed("P6", again.status().message());
    if (!(*again == unit)) return failed("P6", "another tree behind\n" + text + "\n" + print(*again));
    prove("P6", "parser");
    return ok_status();
  }

  void describe() {
    pair_.code = snippet_.code();
    for (const Derived& d : set_.assertions) {
      Pair::AssertionInfo info;
      info.name = d.name;
      info.text = trimmed(print(d.item));
      info.form = d.form;
      if (d.antecedent) info.antecedent = print(*d.antecedent);
      info.consequent = print(d.consequent);
      info.target = d.target;
      info.path = d.path;
      if (!pair_.assertion.empty()) pair_.assertion += "\n";
      pair_.assertion += d.sequence_item ? trimmed(print(*d.sequence_item)) : info.text;
      pair_.assertions.push_back(std::move(info));
    }
    pair_.synchronous = snippet_.clocked;
    if (snippet_.clocked) {
      pair_.clock = {{snippet_.clock, snippet_.negedge ? "negedge" : "posedge"}};
      pair_.clock_text = pair_.clock->edge + " " + pair_.clock->name;
    }
    if (snippet_.reset) pair_.reset = {{snippet_.reset->name, snippet_.reset->level, snippet_.reset->async}};
    pair_.id = fmt::format("{:06d}-{:016x}", index_, seed_);
    pair_.seed = seed_;
    pair_.split = !options_.train_test ? "" : test_ ? "test" : "train";
    pair_.tier = tier_;
    Pair::Construct& c = pair_.construct;
    c.kind = snippet_.kind;
    c.reset = !snippet_.reset ? "none" : snippet_.reset->async ? "async" : "sync";
    c.unique = "none";
    c.has_else = true;
    for (const ast::Item& process : snippet_.processes) {
      const Skeleton skeleton = skeleton_of(process);
      c.depth = std::max(c.depth, skeleton.depth());
      c.arms += skeleton.branches();
      const auto look = [&](const auto& self, const std::vector<Skeleton::Node>& list) -> void {
        for (const Skeleton::Node& node : list) {
          if (node.kind == Skeleton::Node::Kind::kIf) c.has_else = c.has_else && node.parts.size() > 1;
          if (node.kind == Skeleton::Node::Kind::kCase) {
            c.has_default = c.has_default || std::find(node.labels.begin(), node.labels.end(), 0) != node.labels.end();
            if (node.unique == ast::Uniqueness::kUnique) c.unique = "unique";
          }
          for (const auto& part : node.parts) self(self, part);
        }
      };
      look(look, skeleton.body);
    }
    pair_.module = print(snippet_.module(set_.helpers));
    if (snippet_.clocked) pair_.signals.push_back({snippet_.clock, 1, false, "input", {}});
    if (snippet_.reset) pair_.signals.push_back({snippet_.reset->name, 1, false, "input", {}});
    for (const Snippet::Signal& s : snippet_.signals) {
      const char* direction = s.direction == ast::Direction::kInput ? "input" : s.direction == ast::Direction::kOutput ? "output" : "internal";
      pair_.signals.push_back({s.name, s.width, false, direction, s.members});
    }
    for (const ast::Item& helper : set_.helpers) {
      for (const ast::Declarator& name : helper.names) pair_.signals.push_back({name.name, 4, false, "internal", {}});
    }
    pair_.lowered = lowered_module(snippet_, set_);
    pair_.hash.exact = hex_hash(pair_.code + "\n" + pair_.assertion);
    pair_.hash.alpha = hex_hash(alpha_text(pair_.code));
    pair_.chars = static_cast<int>(pair_.code.size() + pair_.assertion.size());
    pair_.tokens = count_tokens(pair_.code) + count_tokens(pair_.assertion);
  }

  const GenerateOptions& options_;
  const ShapeBank& bank_;
  int64_t index_;
  uint64_t seed_;
  Dice dice_;
  bool test_ = false;
  int tier_ = 1;
  Snippet snippet_;
  DerivedSet set_;
  Pair pair_;
  double begin_ = 0;
};

}  // namespace

StatusOr<std::optional<Pair>> generate_candidate(const GenerateOptions& options, const ShapeBank& bank, int64_t index, int attempt) {
  const std::array<uint64_t, 3> key{options.seed, static_cast<uint64_t>(index), static_cast<uint64_t>(attempt)};
  const uint64_t seed = xxh64({reinterpret_cast<const uint8_t*>(key.data()), sizeof(key)});
  return Candidate(options, bank, index, seed).run();
}

}  // namespace callie::assertions
