#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/mutate/mutate.h"
#include "assertions/prove/prove.h"
#include "assertions/prove/witness.h"
#include "assertions/syntax/parser.h"
#include "assertions/syntax/printer.h"
#include "cli/assert_commands.h"
#include "core/atomic_file.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  std::vector<std::string> files;
  std::string top, output, what = "both";
  double time_limit_s = 10;
};

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

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
        type.kind == ast::TypeKind::kImplicit) out[name] = width;
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

Status run(const Options& options) {
  SourceSet sources;
  CALLIE_ASSIGN_OR_RETURN(const ast::Unit unit, parse_files(sources, options.files));
  const ast::Module* top = options.top.empty() ? nullptr : unit.find(options.top);
  if (!options.top.empty() && !top) return not_found("no module '{}'", options.top);
  if (!top) {
    for (const ast::Module& module : unit.modules) {
      if (module.kind == ast::Module::Kind::kModule) top = &module;
    }
  }
  if (!top) return invalid_argument("{}: no module", options.files[0]);
  ProveOptions prove_options;
  prove_options.top = top->name;
  prove_options.time_limit_s = options.time_limit_s;
  const auto decide = [&](const ast::Module& changed) {
    ast::Unit copy = unit;
    for (ast::Module& module : copy.modules) {
      if (module.name == changed.name) module = changed;
    }
    return prove(sources, copy, prove_options);
  };
  CALLIE_ASSIGN_OR_RETURN(const ProveReport original, decide(*top));
  std::map<std::string, Verdict> verdicts;
  for (const AssertionResult& r : original.assertions) verdicts[r.name] = r.verdict;
  std::string lines;
  const auto add = [&](const std::string& kind, const std::string& of, const std::string& text, const AssertionResult* r) {
    const std::string verdict = !r ? "equivalent" : r->verdict == Verdict::kProven || r->verdict == Verdict::kVacuous ? "equivalent" : std::string(name(r->verdict));
    lines += Json{{"kind", kind}, {"of", of.empty() ? Json(nullptr) : Json(of)}, {"text", text}, {"verdict", verdict},
                  {"witness", r && r->witness ? witness_json(*r->witness) : Json(nullptr)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
    lines += '\n';
  };
  const std::map<std::string, int> widths = widths_of(*top);
  if (options.what != "designs") {
    ast::Module with_mutants = *top;
    std::vector<std::pair<AssertionMutant, std::string>> mutants;
    for (size_t i = 0; i < top->items.size(); ++i) {
      const ast::Item& item = top->items[i];
      if (!is_assertion(item)) continue;
      for (AssertionMutant& mutant : assertion_mutants(item, widths)) {
        set_assertion_label(mutant.item, fmt::format("mutant_{}", mutants.size()));
        with_mutants.items.push_back(mutant.item);
        mutants.emplace_back(std::move(mutant), assertion_label(item));
      }
    }
    CALLIE_ASSIGN_OR_RETURN(const ProveReport report, decide(with_mutants));
    for (size_t m = 0; m < mutants.size(); ++m) {
      for (const AssertionResult& r : report.assertions) {
        if (r.name == fmt::format("mutant_{}", m)) add("assertion:" + mutants[m].first.kind, mutants[m].second, trimmed(print(mutants[m].first.item)), &r);
      }
    }
  }
  if (options.what != "assertions") {
    const std::vector<std::string> sites = design_mutation_sites(*top);
    for (size_t site = 0; site < sites.size(); ++site) {
      const ast::Module mutant = mutate_design(*top, site);
      if (mutant == *top) continue;
      const StatusOr<ProveReport> report = decide(mutant);
      if (!report.ok()) continue;
      // Caught by an assertion that holds on the design and fails here.
      const AssertionResult* catcher = nullptr;
      for (const AssertionResult& r : report->assertions) {
        if (!catcher && r.verdict == Verdict::kRefuted && verdicts[r.name] == Verdict::kProven) catcher = &r;
      }
      if (catcher) {
        add("design:" + sites[site], catcher->name, trimmed(print(mutant)), catcher);
      } else {
        lines += Json{{"kind", "design:" + sites[site]}, {"of", nullptr}, {"text", trimmed(print(mutant))}, {"verdict", "not caught"}, {"witness", nullptr}}.dump() + "\n";
      }
    }
  }
  if (options.output.empty()) {
    std::fputs(lines.c_str(), stdout);
    return ok_status();
  }
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(options.output));
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(lines)));
  return file.commit();
}

}  // namespace

void add_assert_mutate(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("mutate", "Write wrong variants of assertions and of their design, each with its verdict");
  command->add_option("FILE", options->files, "SystemVerilog files")->required();
  command->add_option("--top", options->top, "The module to change (default: the last)");
  command->add_option("--what", options->what, "assertions, designs or both")->capture_default_str()->check(CLI::IsMember({"assertions", "designs", "both"}));
  command->add_option("--time-limit", options->time_limit_s, "Seconds for each assertion")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("-o,--output", options->output, "JSON lines (default: standard output)");
  command->footer("Example: callie assert mutate counter.sv -o mutants.jsonl");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
