#include "assertions/elaborate/elaborator.h"

#include "assertions/syntax/parser.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::Item;
using ast::ItemKind;

namespace {

constexpr uint32_t kMaxNodes = 24000000;
constexpr int64_t kMaxSteps = 4000000;

}  // namespace

const Word& Design::variable_leaves(int index) {
  Variable& variable = variables[index];
  if (variable.leaves.empty()) {
    for (int bit = 0; bit < variable.type->width; ++bit) {
      variable.leaves.push_back(new_leaf({LeafInfo::Kind::kVariable, index, bit, variable.span}));
    }
  }
  return variable.leaves;
}

Elaborator::Elaborator(const ast::Unit& unit, Design& design) : unit_(unit), design_(design), aig_(design.aig) {}

void Elaborator::fail(Span span, std::string message) const { throw SourceError{span, std::move(message)}; }

void Elaborator::unsupported(Span span, std::string construct) const {
  throw SourceError{span, std::move(construct), StatusCode::kUnimplemented};
}

// Bounds the work that a text can ask for.
void Elaborator::charge(Span span) {
  if (++steps_ > kMaxSteps || aig_.size() > kMaxNodes) {
    throw SourceError{span, "the design is too large: elaboration stopped here", StatusCode::kResourceExhausted};
  }
}

Scope* Elaborator::new_scope(Scope* parent, std::string path) {
  if (design_.scopes.size() > 200000) throw SourceError{{}, "too many scopes", StatusCode::kResourceExhausted};
  design_.scopes.push_back({});
  Scope* scope = &design_.scopes.back();
  scope->parent = parent;
  scope->path = std::move(path);
  if (parent) {
    scope->module = parent->module;
    scope->default_clock = parent->is_module || parent->parent ? parent->default_clock : nullptr;
    scope->default_clock_scope = parent->default_clock_scope;
    scope->default_disable = parent->default_disable;
  }
  return scope;
}

void Elaborator::declare(Scope* scope, const std::string& name, Symbol symbol, Span span) {
  const auto [it, fresh] = scope->symbols.emplace(name, symbol);
  if (fresh) return;
  fail(span, fmt::format("'{}' is declared twice", name));
}

Symbol* Elaborator::find(Scope* scope, const std::string& name) {
  const auto it = scope->symbols.find(name);
  return it == scope->symbols.end() ? nullptr : &it->second;
}

Symbol* Elaborator::lookup(Scope* scope, const std::string& name, Span) {
  for (Scope* s = scope; s; s = s->parent) {
    if (Symbol* symbol = find(s, name)) return symbol;
    for (Scope* import : s->imports) {
      if (Symbol* symbol = find(import, name)) return symbol;
    }
  }
  return nullptr;
}

// What a name, package name or hierarchical name stands for; nothing when there is no such name.
Symbol* Elaborator::resolve(const ast::Expr& expr, Frame& frame) {
  using ast::ExprKind;
  if (expr.kind == ExprKind::kName) {
    const size_t colons = expr.name.find("::");
    if (colons == std::string::npos) return lookup(frame.scope, expr.name, expr.span);
    const std::string left = expr.name.substr(0, colons), right = expr.name.substr(colons + 2);
    if (left == "$unit") return find(root_, right);
    return find(package(left, expr.span), right);
  }
  if (expr.kind == ExprKind::kMember) {
    Symbol* base = resolve(expr.args[0], frame);
    if (!base || base->kind != Symbol::Kind::kScope) return nullptr;
    Symbol* out = find(base->scope, expr.name);
    if (!out) fail(expr.span, fmt::format("no '{}' in this scope", expr.name));
    return out;
  }
  if (expr.kind == ExprKind::kIndex) {
    Symbol* base = resolve(expr.args[0], frame);
    if (!base || base->kind != Symbol::Kind::kScopeArray) return nullptr;
    const int64_t index = constant(expr.args[1], frame, "the index of a scope");
    const auto it = base->elements.find(index);
    if (it == base->elements.end()) fail(expr.span, fmt::format("no block with index {}", index));
    Symbol symbol;
    symbol.kind = Symbol::Kind::kScope;
    symbol.scope = it->second;
    const std::string key = fmt::format("{}#{}", static_cast<const void*>(base), index);
    return &root_->symbols.emplace(key, symbol).first->second;
  }
  return nullptr;
}

Symbol* Elaborator::resolve_called(const std::string& name, Frame& frame) {
  Symbol* symbol = resolve(ast::make_name(name), frame);
  if (!symbol || symbol->kind != Symbol::Kind::kVariable || symbol->variable != frame.return_variable) return symbol;
  Frame outside = frame;
  while (outside.scope && !find(outside.scope, name)) outside.scope = outside.scope->parent;
  outside.scope = outside.scope ? outside.scope->parent : nullptr;
  return outside.scope ? resolve(ast::make_name(name), outside) : nullptr;
}

Scope* Elaborator::package(const std::string& name, Span span) {
  if (const auto it = packages_.find(name); it != packages_.end()) {
    if (!it->second) fail(span, fmt::format("package '{}' imports itself", name));
    return it->second;
  }
  const ast::Module* module = unit_.find(name);
  if (!module || module->kind != ast::Module::Kind::kPackage) fail(span, fmt::format("no package '{}'", name));
  packages_[name] = nullptr;
  Scope* scope = new_scope(root_, name + "::");
  scope->module = name;
  declare_items(module->items, scope, 0);
  packages_[name] = scope;
  return scope;
}

void Elaborator::elaborate(const ast::Module& top, const std::map<std::string, std::string>& overrides) {
  root_ = new_scope(nullptr, "");
  const auto collect_binds = [&](const std::vector<Item>& items) {
    for (const Item& item : items) {
      if (item.kind != ItemKind::kBind) continue;
      if (!unit_.find(item.name)) fail(item.name_span, fmt::format("no module '{}'", item.name));
      binds_.emplace(item.name, &item);
    }
  };
  collect_binds(unit_.items);
  for (const ast::Module& module : unit_.modules) collect_binds(module.items);
  declare_items(unit_.items, root_, 0);
  Scope* scope = instantiate(top, "", [&](Scope* inner) {
    for (const auto& [name, text] : overrides) {
      SourceSet sources;
      StatusOr<ast::Expr> value = parse_expression(sources, name, text);
      if (!value.ok()) fail(top.name_span, fmt::format("parameter {}: '{}' is not an expression", name, text));
      Frame frame;
      frame.scope = root_;
      Symbol symbol;
      symbol.kind = Symbol::Kind::kParameter;
      const ExprType type = type_of(*value, frame);
      symbol.value = evaluate_self(*value, frame);
      symbol.type = bits_type(type.width, type.is_signed);
      inner->symbols["#" + name] = std::move(symbol);
    }
  }, nullptr, 0, nullptr, 0);
  (void)scope;
  declare_implicit_nets();
  for (size_t i = 0; i < design_.processes.size(); ++i) {
    const Process process = design_.processes[i];
    lower_process(process);
  }
  keep_unknown_starts();
  for (const auto& [item, item_scope] : assertion_items_) {
    Frame frame;
    frame.scope = item_scope;
    lower_assertion(*item->assertion, item->label, frame, item->span);
  }
}

// A name that is declared nowhere is a net of one bit when it stands in a port connection or is the target of a
// continuous assignment (IEEE 1800-2017, 6.10).
void Elaborator::declare_implicit_nets() {
  const auto consider = [&](const auto& self, const ast::Expr& expr, Scope* scope) -> void {
    if (expr.kind == ast::ExprKind::kConcat) {
      for (const ast::Expr& part : expr.args) self(self, part, scope);
    }
    if (expr.kind != ast::ExprKind::kName || expr.name.find("::") != std::string::npos) return;
    if (lookup(scope, expr.name, expr.span)) return;
    ast::Declarator name;
    name.name = expr.name;
    name.span = expr.span;
    declare_variable(name, {}, scope, true);
  };
  for (const Process& process : design_.processes) {
    if (process.item) {
      for (const auto& [target, source] : process.item->assigns) consider(consider, target, process.scope);
    } else if (process.scope != process.source_scope) {
      consider(consider, process.output_target ? *process.output_target : *process.source, process.source_scope);
    }
  }
}

void Elaborator::declare_parameter(const Item& item, Scope* scope) {
  for (const ast::Declarator& name : item.names) {
    if (find(scope, name.name)) continue;  // a body parameter that was handled with the ports
    Symbol symbol;
    Symbol* given = item.is_local ? nullptr : find(scope, "#" + name.name);
    Frame frame;
    frame.scope = scope;
    if (item.type.kind == ast::TypeKind::kTypeParameter) {
      symbol.kind = Symbol::Kind::kType;
      if (given && given->type) symbol.type = given->type;
      else if (name.type_init) symbol.type = resolve_type(*name.type_init, scope);
      else fail(name.span, fmt::format("type parameter '{}' has no value", name.name));
      declare(scope, name.name, std::move(symbol), name.span);
      continue;
    }
    symbol.kind = Symbol::Kind::kParameter;
    const bool implicit = item.type.kind == ast::TypeKind::kImplicit && item.type.dims.empty() && !item.type.has_sign;
    const Type* type = implicit ? nullptr : apply_unpacked(resolve_type(item.type, scope), name.dims, scope, name.span);
    // A string is as wide as its value.
    if (type && type->kind == Type::Kind::kString) type = nullptr;
    if (given) {
      symbol.type = type ? type : given->type;
      symbol.value = resize(given->value, symbol.type->width, given->type->is_signed);
    } else if (!name.init) {
      fail(name.span, fmt::format("parameter '{}' has no value", name.name));
    } else if (type) {
      if (type->kind == Type::Kind::kReal) unsupported(name.span, "real parameter");
      symbol.type = type;
      symbol.value = evaluate_as(*name.init, type, frame);
    } else {
      const ExprType own = type_of(*name.init, frame);
      symbol.type = own.type && own.type->width == own.width ? own.type : bits_type(own.width, own.is_signed);
      symbol.value = evaluate_self(*name.init, frame);
    }
    if (!is_constant(symbol.value)) fail(name.span, fmt::format("the value of '{}' is not constant", name.name));
    declare(scope, name.name, std::move(symbol), name.span);
  }
}

void Elaborator::declare_import(const Item& item, Scope* scope) {
  for (const ast::Declarator& name : item.names) {
    const size_t colons = name.name.find("::");
    Scope* from = package(name.name.substr(0, colons), name.span);
    const std::string what = name.name.substr(colons + 2);
    if (what == "*") {
      scope->imports.push_back(from);
    } else if (Symbol* symbol = find(from, what)) {
      scope->symbols.emplace(what, *symbol);
    } else {
      fail(name.span, fmt::format("no '{}' in package '{}'", what, name.name.substr(0, colons)));
    }
  }
}

int Elaborator::declare_variable(const ast::Declarator& name, const ast::DataType& type, Scope* scope, bool is_net) {
  charge(name.span);
  const Type* resolved = apply_unpacked(resolve_type(type, scope), name.dims, scope, name.span);
  if (resolved->kind == Type::Kind::kReal) unsupported(name.span, "real variable");
  if (resolved->kind == Type::Kind::kVoid) fail(name.span, "a variable of type void");
  Variable variable;
  variable.name = scope->path + name.name;
  variable.type = resolved;
  variable.span = name.span;
  variable.is_net = is_net;
  variable.driver.assign(static_cast<size_t>(resolved->width), kUndriven);
  variable.driver_span.assign(static_cast<size_t>(resolved->width), Span{});
  variable.init.assign(static_cast<size_t>(resolved->width), 2);
  design_.variables.push_back(std::move(variable));
  const int index = static_cast<int>(design_.variables.size()) - 1;
  Symbol symbol;
  symbol.kind = Symbol::Kind::kVariable;
  symbol.variable = index;
  symbol.type = resolved;
  declare(scope, name.name, std::move(symbol), name.span);
  return index;
}

void Elaborator::initialize(int variable, const ast::Expr& init, Scope* scope) {
  Frame frame;
  frame.scope = scope;
  const Word value = evaluate_as(init, design_.variables[variable].type, frame);
  for (size_t i = 0; i < value.size(); ++i) {
    if (is_constant(value[i])) {
      design_.variables[variable].init[i] = static_cast<uint8_t>(value[i]);
    } else if (!aig_.is_leaf(node_of(value[i])) || design_.leaf_info(value[i]).kind != LeafInfo::Kind::kUnknown) {
      unsupported(init.span, "initializer that is not constant");
    }
  }
}

void Elaborator::declare_items(const std::vector<Item>& items, Scope* scope, int depth) {
  // Functions, properties and sequences may be used before they are declared.
  for (const Item& item : items) {
    Symbol symbol;
    symbol.item = &item;
    symbol.scope = scope;
    switch (item.kind) {
      case ItemKind::kFunction:
      case ItemKind::kTask: symbol.kind = Symbol::Kind::kFunction; break;
      case ItemKind::kProperty: symbol.kind = Symbol::Kind::kProperty; break;
      case ItemKind::kSequence: symbol.kind = Symbol::Kind::kSequence; break;
      case ItemKind::kDefaultDisable: scope->default_disable = &*item.expr; continue;
      case ItemKind::kClocking:
        symbol.kind = Symbol::Kind::kClocking;
        if (item.is_default) {
          scope->default_clock = &*item.event;
          scope->default_clock_scope = scope;
        }
        if (item.name.empty()) continue;
        break;
      case ItemKind::kDefaultClocking:
        for (const Item& other : items) {
          if (other.kind == ItemKind::kClocking && other.name == item.name) {
            scope->default_clock = &*other.event;
            scope->default_clock_scope = scope;
          }
        }
        continue;
      default: continue;
    }
    declare(scope, item.name, std::move(symbol), item.name_span);
  }
  for (const Item& item : items) declare_item(item, scope, depth);
}

void Elaborator::declare_item(const Item& item, Scope* scope, int depth) {
  charge(item.span);
  switch (item.kind) {
    case ItemKind::kParameter: return declare_parameter(item, scope);
    case ItemKind::kImport: return declare_import(item, scope);
    case ItemKind::kTypedef:
      for (const ast::Declarator& name : item.names) {
        Symbol symbol;
        symbol.kind = Symbol::Kind::kType;
        symbol.type = apply_unpacked(resolve_type(item.type, scope), name.dims, scope, name.span);
        declare(scope, name.name, std::move(symbol), name.span);
      }
      return;
    case ItemKind::kDecl: {
      const bool is_supply = item.name == "supply0" || item.name == "supply1";
      if (!item.name.empty() && !is_supply) unsupported(item.span, "net type " + item.name);
      for (const ast::Declarator& name : item.names) {
        Symbol* old = find(scope, name.name);
        int variable;
        if (old && old->kind == Symbol::Kind::kVariable && scope->is_module &&
            (item.direction != ast::Direction::kNone || design_.variables[old->variable].span.begin < name.span.begin) &&
            old->type->width == apply_unpacked(resolve_type(item.type, scope), name.dims, scope, name.span)->width &&
            item.type.kind != ast::TypeKind::kNamed && !old->is_complete) {
          variable = old->variable;  // the second half of a non-ANSI port
          old->is_complete = item.direction == ast::Direction::kNone;
        } else if (old && item.direction != ast::Direction::kNone && old->kind == Symbol::Kind::kVariable) {
          variable = old->variable;
        } else {
          if (item.direction != ast::Direction::kNone) fail(name.span, "a port direction outside of the port list");
          if (resolve_type(item.type, scope)->kind == Type::Kind::kString) {
            continue;
          }
          variable = declare_variable(name, item.type, scope, item.is_net);
        }
        if (is_supply) {
          const int width = design_.variables[variable].type->width;
          for (int bit = 0; bit < width; ++bit) drive(variable, bit, item.name == "supply1" ? kTrue : kFalse, name.span);
        }
        if (!name.init) continue;
        Process process;
        process.scope = scope;
        process.target = variable;
        process.source = &*name.init;
        process.source_scope = scope;
        process.span = name.span;
        if (item.is_net) {
          design_.processes.push_back(process);
        } else {
          initialize(variable, *name.init, scope);
        }
      }
      return;
    }
    case ItemKind::kAssign:
    case ItemKind::kAlways:
    case ItemKind::kInitial: {
      Process process;
      process.item = &item;
      process.scope = scope;
      process.span = item.span;
      design_.processes.push_back(process);
      return;
    }
    case ItemKind::kInstance: return declare_instance(item, scope, depth);
    case ItemKind::kGenerateFor:
    case ItemKind::kGenerateIf:
    case ItemKind::kGenerateCase:
    case ItemKind::kGenerateBlock: return declare_generate(item, scope, depth);
    case ItemKind::kAssertion: assertion_items_.emplace_back(&item, scope); return;
    case ItemKind::kOther: {
      static const std::vector<std::string> kIgnored{"covergroup", "class", "virtual", "specify", "modport", "timeunit",
                                                     "timeprecision", "specparam", "export", "import \"DPI-C\"",
                                                     "typedef", "config", "primitive", "checker"};
      for (const std::string& word : kIgnored) {
        if (item.name == word) return;
      }
      if (!item.name.empty() && item.name[0] == '$') return;  // elaboration system tasks
      unsupported(item.span, item.name);
    }
    default: return;
  }
}

Scope* Elaborator::declare_block(const Item& block, Scope* scope) {
  const std::string name = block.name.empty() ? "genblk" + std::to_string(scope->unnamed_blocks) : block.name;
  Scope* inner = new_scope(scope, scope->path + name + ".");
  Symbol symbol;
  symbol.kind = Symbol::Kind::kScope;
  symbol.scope = inner;
  declare(scope, name, std::move(symbol), block.span);
  return inner;
}

void Elaborator::declare_generate(const Item& item, Scope* scope, int depth) {
  if (depth > 200) fail(item.span, "generate constructs nest too deeply");
  Frame frame;
  frame.scope = scope;
  const auto enter = [&](const Item& block) {
    // A block that only holds another construct (else if) makes no scope of its own.
    if (block.name.empty() && block.items.size() == 1 && (block.items[0].kind == ItemKind::kGenerateIf ||
                                                           block.items[0].kind == ItemKind::kGenerateCase)) {
      declare_item(block.items[0], scope, depth + 1);
      return;
    }
    declare_items(block.items, declare_block(block, scope), depth + 1);
  };
  ++scope->unnamed_blocks;
  if (item.kind == ItemKind::kGenerateBlock) return enter(item);
  if (item.kind == ItemKind::kGenerateIf) {
    const Lit holds = condition(*item.expr, frame);
    if (!is_constant(holds)) fail(item.expr->span, "the condition of a generate construct is not constant");
    if (holds == kTrue) enter(item.items[0]);
    else if (item.items.size() > 1) enter(item.items[1]);
    return;
  }
  if (item.kind == ItemKind::kGenerateCase) {
    const int64_t value = constant(*item.expr, frame, "the selector of a generate case");
    int otherwise = -1;
    for (size_t i = 0; i < item.items.size(); ++i) {
      if (item.labels[i].empty()) otherwise = static_cast<int>(i);
      for (const ast::Expr& label : item.labels[i]) {
        if (constant(label, frame, "a generate case label") == value) return enter(item.items[i]);
      }
    }
    if (otherwise >= 0) enter(item.items[otherwise]);
    return;
  }
  // for: the loop variable is a parameter of each block.
  const ast::Stmt& init = *item.init;
  if (init.kind != ast::StmtKind::kAssign || init.target->kind != ast::ExprKind::kName) {
    fail(item.span, "a generate loop starts with VARIABLE = VALUE");
  }
  const std::string name = init.target->name;
  int64_t value = constant(*init.expr, frame, "the start of the loop");
  const Item& block = item.items[0];
  const std::string label = block.name.empty() ? "genblk" + std::to_string(scope->unnamed_blocks) : block.name;
  Symbol array;
  array.kind = Symbol::Kind::kScopeArray;
  declare(scope, label, array, item.span);
  for (int count = 0;; ++count) {
    if (count > 65536) fail(item.span, "a generate loop of more than 65536 turns");
    Scope* inner = new_scope(scope, fmt::format("{}{}[{}].", scope->path, label, value));
    Symbol variable;
    variable.kind = Symbol::Kind::kParameter;
    variable.value = constant_word(static_cast<uint64_t>(value), 32);
    variable.type = bits_type(32, true);
    inner->symbols[name] = variable;
    Frame loop;
    loop.scope = inner;
    const Lit holds = condition(*item.expr, loop);
    if (!is_constant(holds)) fail(item.expr->span, "the condition of a generate loop is not constant");
    if (holds == kFalse) break;
    find(scope, label)->elements[value] = inner;
    declare_items(block.items, inner, depth + 1);
    const ast::Stmt& step = *item.step;
    if (step.kind != ast::StmtKind::kAssign || step.target->kind != ast::ExprKind::kName || step.target->name != name) {
      fail(item.span, "a generate loop steps its own variable");
    }
    const int64_t operand = constant(*step.expr, loop, "the step of the loop");
    const int64_t before = value;
    switch (step.op) {
      case ast::Op::kNone: value = operand; break;
      case ast::Op::kAdd: value += operand; break;
      case ast::Op::kSub: value -= operand; break;
      case ast::Op::kMul: value *= operand; break;
      case ast::Op::kDiv: value = operand ? value / operand : value; break;
      case ast::Op::kShl: value <<= operand & 31; break;
      case ast::Op::kShr: value >>= operand & 31; break;
      default: fail(item.span, "this step of a generate loop is not part of the subset");
    }
    if (value == before) fail(item.span, "a generate loop that does not move");
  }
}

}  // namespace callie::assertions
