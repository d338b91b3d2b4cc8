#include "assertions/mutate/decide.h"

#include <cstdlib>
#include <map>

#include "assertions/mutate/mutate.h"
#include "assertions/prove/witness.h"
#include "assertions/syntax/printer.h"
#include "core/interrupt.h"

namespace callie::assertions {
namespace {

bool is_assertion(const ast::Item& item) {
  return item.kind == ast::ItemKind::kAssertion ? item.assertion && item.assertion->kind == ast::AssertKind::kAssert
                                                : item.kind == ast::ItemKind::kAlways && !assertion_label(item).empty();
}

std::map<std::string, int> widths_of(const ast::Module& module) {
  std::map<std::string, int> out;
  const auto add = [&](const std::string& name, const ast::DataType& type) {
    int width = 1;
    for (const ast::Dimension& d : type.dims) {
      if (!d.left || !d.right || d.left->kind != ast::ExprKind::kNumber || d.right->kind != ast::ExprKind::kNumber) return;
      width *= std::abs(static_cast<int>(d.left->number->value[0]) - static_cast<int>(d.right->number->value[0])) + 1;
    }
    if (type.kind == ast::TypeKind::kLogic || type.kind == ast::TypeKind::kReg || type.kind == ast::TypeKind::kBit ||
        type.kind == ast::TypeKind::kImplicit) {
      out[name] = width;
    }
  };
  for (const ast::Formal& port : module.ports) add(port.name.name, port.type);
  for (const ast::Item& item : module.items) {
    if (item.kind != ast::ItemKind::kDecl) continue;
    for (const ast::Declarator& name : item.names) {
      if (name.dims.empty()) add(name.name, item.type);
    }
  }
  return out;
}

StatusOr<const ast::Module*> module_to_change(const SourceSet& sources, const ast::Unit& unit, const std::string& wanted) {
  if (!wanted.empty()) {
    if (const ast::Module* found = unit.find(wanted)) return found;
    return not_found("no module '{}'", wanted);
  }
  const ast::Module* last = nullptr;
  for (const ast::Module& module : unit.modules) {
    if (module.kind == ast::Module::Kind::kModule) last = &module;
  }
  if (!last) return invalid_argument("{}: no module", sources.name(0));
  return last;
}

class MutantDecider {
 public:
  MutantDecider(SourceSet& sources, const ast::Unit& unit, const ast::Module& top, const MutateOptions& options)
      : sources_(sources), unit_(unit), top_(top), options_(options.prove), progress_(options.progress) {
    options_.top = top.name;
    sites_ = options.designs ? design_mutation_sites(top) : std::vector<std::string>{};
  }

  void report(int64_t done, int64_t total) const {
    if (progress_) progress_(done, total);
  }

  StatusOr<ProveReport> decide(const ast::Module& changed) {
    ast::Unit copy = unit_;
    for (ast::Module& module : copy.modules) {
      if (module.name == changed.name) module = changed;
    }
    return prove(sources_, copy, options_);
  }

  // All variants at once, beside the originals.
  Status assertions(std::vector<DecidedMutant>& out) {
    const std::map<std::string, int> widths = widths_of(top_);
    ast::Module with_mutants = top_;
    std::vector<std::pair<AssertionMutant, std::string>> mutants;
    for (const ast::Item& item : top_.items) {
      if (!is_assertion(item)) continue;
      for (AssertionMutant& mutant : assertion_mutants(item, widths)) {
        set_assertion_label(mutant.item, fmt::format("mutant_{}", mutants.size()));
        with_mutants.items.push_back(mutant.item);
        mutants.emplace_back(std::move(mutant), assertion_label(item));
      }
    }
    options_.progress = [&](int64_t done, int64_t total) { report(done, total + static_cast<int64_t>(sites_.size())); };
    StatusOr<ProveReport> decided = decide(with_mutants);
    options_.progress = nullptr;
    if (!decided.ok()) return decided.status();
    assertions_done_ = static_cast<int64_t>(decided->assertions.size());
    for (size_t m = 0; m < mutants.size(); ++m) {
      const auto& [mutant, of] = mutants[m];
      for (AssertionResult& r : decided->assertions) {
        if (r.name != fmt::format("mutant_{}", m)) continue;
        out.push_back({"assertion:" + mutant.kind, of, trimmed(print(mutant.item)),
                       r.verdict == Verdict::kProven ? "equivalent" : std::string(name(r.verdict)), std::move(r.witness)});
      }
    }
    return ok_status();
  }

  Status designs(std::vector<DecidedMutant>& out) {
    CALLIE_ASSIGN_OR_RETURN(const ProveReport original, decide(top_));
    std::map<std::string, Verdict> verdicts;
    for (const AssertionResult& r : original.assertions) verdicts[r.name] = r.verdict;
    for (size_t site = 0; site < sites_.size(); ++site) {
      report(assertions_done_ + static_cast<int64_t>(site), assertions_done_ + static_cast<int64_t>(sites_.size()));
      const ast::Module mutant = mutate_design(top_, site);
      if (mutant == top_) continue;
      StatusOr<ProveReport> outcome = decide(mutant);
      if (interrupted()) return error(StatusCode::kCancelled, "stopped");
      if (!outcome.ok()) continue;
      DecidedMutant decided{"design:" + sites_[site], "", trimmed(print(mutant)), "not caught", {}};
      for (AssertionResult& r : outcome->assertions) {
        if (r.verdict != Verdict::kRefuted || verdicts[r.name] != Verdict::kProven) continue;
        decided.of = r.name;
        decided.verdict = name(r.verdict);
        decided.witness = std::move(r.witness);
        break;
      }
      out.push_back(std::move(decided));
    }
    return ok_status();
  }

 private:
  SourceSet& sources_;
  const ast::Unit& unit_;
  const ast::Module& top_;
  ProveOptions options_;
  const std::function<void(int64_t, int64_t)>& progress_;
  std::vector<std::string> sites_;
  int64_t assertions_done_ = 0;
};

}  // namespace

StatusOr<std::vector<DecidedMutant>> decide_mutants(SourceSet& sources, const ast::Unit& unit, const MutateOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const ast::Module* const top, module_to_change(sources, unit, options.prove.top));
  MutantDecider decider(sources, unit, *top, options);
  std::vector<DecidedMutant> out;
  if (options.assertions) CALLIE_RETURN_IF_ERROR(decider.assertions(out));
  if (options.designs) CALLIE_RETURN_IF_ERROR(decider.designs(out));
  return out;
}

Json to_json(const DecidedMutant& mutant) {
  return {{"kind", mutant.kind},
          {"of", mutant.of.empty() ? Json(nullptr) : Json(mutant.of)},
          {"text", mutant.text},
          {"verdict", mutant.verdict},
          {"witness", mutant.witness ? witness_json(*mutant.witness) : Json(nullptr)}};
}

}  // namespace callie::assertions
