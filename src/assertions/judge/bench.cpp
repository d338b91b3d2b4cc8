#include "assertions/judge/bench.h"

#include "assertions/syntax/walk.h"
#include "assertions/syntax/parser.h"

namespace callie::assertions {
namespace {

using ast::ItemKind;

void strip_assertions(std::vector<ast::Item>& items) {
  std::erase_if(items, [](const ast::Item& item) {
    return item.kind == ItemKind::kAssertion &&
           (item.assertion->kind == ast::AssertKind::kAssert || item.assertion->kind == ast::AssertKind::kCover ||
            item.assertion->kind == ast::AssertKind::kCoverSequence);
  });
  for (ast::Item& item : items) {
    for (ast::Stmt& body : item.body) {
      for_each_assertion(body, [](ast::Stmt& s) {
        if (s.assertion->kind == ast::AssertKind::kAssume || s.assertion->kind == ast::AssertKind::kRestrict) return;
        s.kind = ast::StmtKind::kNull;
        s.assertion = {};
      });
    }
    strip_assertions(item.items);
  }
}

// Takes out everything that gives a signal a value.
void set_free(std::vector<ast::Item>& items) {
  std::erase_if(items, [](const ast::Item& item) {
    return item.kind == ItemKind::kAssign || item.kind == ItemKind::kAlways || item.kind == ItemKind::kInitial ||
           item.kind == ItemKind::kFinal || item.kind == ItemKind::kAssertion;
  });
  for (ast::Item& item : items) {
    if (item.kind == ItemKind::kDecl && !item.is_const) {
      for (ast::Declarator& name : item.names) name.init = {};
    }
    set_free(item.items);
  }
}

// The last one, as an index; the number of modules where there is none.
size_t top_module(const ast::Unit& unit) {
  const std::vector<const ast::Module*> tops = top_modules(unit);
  return tops.empty() ? unit.modules.size() : static_cast<size_t>(tops.back() - unit.modules.data());
}

std::vector<std::string> declared_names(const ast::Module& module) {
  std::vector<std::string> out;
  for (const ast::Formal& port : module.ports) out.push_back(port.name.name);
  const auto from_type = [&](const ast::DataType& type) {
    for (const ast::EnumMember& member : type.members) out.push_back(member.name);
  };
  const auto look = [&](const std::vector<ast::Item>& items) {
    for (const ast::Item& item : items) {
      for (const ast::Declarator& name : item.names) out.push_back(name.name);
      if (item.kind == ItemKind::kFunction || item.kind == ItemKind::kTask || item.kind == ItemKind::kProperty ||
          item.kind == ItemKind::kSequence || item.kind == ItemKind::kGenerateBlock) {
        if (!item.name.empty()) out.push_back(item.name);
      }
      from_type(item.type);
    }
  };
  look(module.parameters);
  look(module.items);
  return out;
}

// Makes the one assertion of an item an assumption, or gives it a label.
void prepare(ast::Item& item, bool assume, const std::string& label) {
  const auto one = [&](ast::Assertion& assertion) {
    if (assume) assertion.kind = ast::AssertKind::kAssume;
  };
  if (item.kind == ItemKind::kAssertion) {
    one(*item.assertion);
    item.label = label;
    return;
  }
  for (ast::Stmt& body : item.body) {
    for_each_assertion(body, [&](ast::Stmt& s) {
      one(*s.assertion);
      s.label = label;
    });
  }
}

}  // namespace

StatusOr<Bench> Bench::create(const std::string& text, SourceError* problem) {
  Bench out;
  StatusOr<ast::Unit> unit = parse_text(out.sources_, "module", text, {}, problem);
  if (!unit.ok()) return unit.status();
  out.design_ = std::move(*unit);
  out.top_ = top_module(out.design_);
  if (out.top_ == out.design_.modules.size()) {
    *problem = {{0, 0, 0}, "no module"};
    return invalid_argument("no module");
  }
  for (ast::Module& module : out.design_.modules) strip_assertions(module.items);
  out.free_ = out.design_;
  for (ast::Module& module : out.free_.modules) {
    if (module.kind != ast::Module::Kind::kPackage) set_free(module.items);
  }
  out.structure_ = structure_of(out.design_.modules[out.top_]);
  out.names_ = declared_names(out.design_.modules[out.top_]);
  const Outcome bare = out.prove(out.sources_, Base::kDesign, {}, {}, {});
  if (bare.failed) out.broken_ = bare.problem;
  return out;
}

Bench::Outcome Bench::prove(const SourceSet& sources, Base base, const std::vector<const std::vector<ast::Item>*>& support,
                            const std::vector<Item>& items, const ProveOptions& options) const {
  ast::Unit unit = base == Base::kDesign ? design_ : free_;
  ast::Module& top = unit.modules[top_];
  for (const auto* list : support) top.items.insert(top.items.end(), list->begin(), list->end());
  std::vector<std::string> labels;
  for (size_t i = 0; i < items.size(); ++i) {
    ast::Item item = *items[i].item;
    const std::string label = fmt::format("judged${}", i);
    prepare(item, items[i].assume, label);
    top.items.push_back(std::move(item));
    if (!items[i].assume) labels.push_back(label);
  }
  ProveOptions with_top = options;
  with_top.top = top.name;
  Outcome out;
  StatusOr<ProveReport> report = assertions::prove(sources, unit, with_top, &out.problem);
  if (!report.ok()) {
    out.failed = true;
    if (out.problem.message.empty()) out.problem.message = report.status().message();
    return out;
  }
  for (const std::string& label : labels) {
    AssertionResult found;
    for (AssertionResult& result : report->assertions) {
      if (result.name == label || result.name.ends_with("." + label)) found = std::move(result);
    }
    out.results.push_back(std::move(found));
  }
  return out;
}

}  // namespace callie::assertions
