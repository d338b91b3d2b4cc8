#include "assertions/elaborate/elaborator.h"

/// Instances: parameters, ports and what is bound to them.
namespace callie::assertions {

using ast::Item;
using ast::ItemKind;

Scope* Elaborator::instantiate(const ast::Module& module, const std::string& path,
                               const std::function<void(Scope*)>& parameters, const Item* instance, size_t which,
                               Scope* outer, int depth) {
  if (depth > 64) fail(module.name_span, fmt::format("'{}' instantiates itself more than 64 levels deep", module.name));
  if (module.kind == ast::Module::Kind::kInterface) unsupported(module.name_span, "interface");
  Scope* scope = new_scope(root_, path);
  scope->is_module = true;
  scope->module = module.name;
  scope->default_clock = nullptr;
  scope->default_disable = nullptr;
  for (const Item& import : module.imports) declare_import(import, scope);
  parameters(scope);
  for (const Item& parameter : module.parameters) declare_parameter(parameter, scope);
  for (const ast::Formal& port : module.ports) {
    if (!module.ansi) continue;
    const int variable = declare_variable(port.name, port.type, scope, port.is_net);
    Variable& v = design_.variables[variable];
    if (port.direction == ast::Direction::kInput) {
      v.is_input = !instance;
      v.is_port_of_instance = instance != nullptr;
    } else if (port.direction != ast::Direction::kOutput) {
      unsupported(port.name.span, port.direction == ast::Direction::kInout ? "inout port" : "ref port");
    } else if (port.name.init) {
      initialize(variable, *port.name.init, scope);
    }
  }
  if (!module.ansi) {
    // Directions stand in the body; a port may be declared twice there (output q; reg q;).
    for (const Item& item : module.items) {
      if (item.kind == ItemKind::kParameter) declare_parameter(item, scope);
      if (item.kind != ItemKind::kDecl || item.direction == ast::Direction::kNone) continue;
      for (const ast::Declarator& name : item.names) {
        if (item.direction == ast::Direction::kInout) unsupported(name.span, "inout port");
        const ast::DataType* type = &item.type;
        bool is_net = item.is_net;
        for (const Item& other : module.items) {
          if (&other == &item || other.kind != ItemKind::kDecl || other.direction != ast::Direction::kNone) continue;
          for (const ast::Declarator& again : other.names) {
            if (again.name != name.name) continue;
            is_net = other.is_net;
            if (type->dims.empty() && type->kind == ast::TypeKind::kImplicit) type = &other.type;
          }
        }
        const int variable = declare_variable(name, *type, scope, is_net);
        Variable& v = design_.variables[variable];
        if (item.direction == ast::Direction::kInput) {
          v.is_input = !instance;
          v.is_port_of_instance = instance != nullptr;
        }
      }
    }
    for (const ast::Formal& port : module.ports) {
      if (!find(scope, port.name.name)) {
        fail(port.name.span, fmt::format("port '{}' has no direction", port.name.name));
      }
    }
  }
  if (instance) connect(module, scope, *instance, which, outer);
  declare_items(module.items, scope, depth);
  for (auto [bind, end] = binds_.equal_range(module.name); bind != end; ++bind) {
    declare_instance(bind->second->items[0], scope, depth);
  }
  return scope;
}

void Elaborator::connect(const ast::Module& module, Scope* inner, const Item& item, size_t which, Scope* outer) {
  const auto& list = item.ports[which];
  size_t position = 0;
  const auto direction_of = [&](const std::string& port) {
    if (module.ansi) {
      for (const ast::Formal& formal : module.ports) {
        if (formal.name.name == port) return formal.direction;
      }
      return ast::Direction::kNone;
    }
    for (const Item& decl : module.items) {
      if (decl.kind != ItemKind::kDecl || decl.direction == ast::Direction::kNone) continue;
      for (const ast::Declarator& name : decl.names) {
        if (name.name == port) return decl.direction;
      }
    }
    return ast::Direction::kNone;
  };
  std::map<std::string, bool> done;
  const auto join = [&](const std::string& port, const ast::Expr* expr, Span span) {
    const ast::Direction direction = direction_of(port);
    if (direction == ast::Direction::kNone) {
      fail(span, fmt::format("module '{}' has no port '{}'", module.name, port));
    }
    if (done[port]) fail(span, fmt::format("port '{}' is connected twice", port));
    done[port] = true;
    if (!expr) return;
    Process process;
    process.scope = inner;
    process.target = find(inner, port)->variable;
    process.source_scope = outer;
    process.span = span;
    if (direction == ast::Direction::kInput) process.source = expr;
    else process.output_target = expr;
    design_.processes.push_back(process);
  };
  bool star = false;
  for (const ast::Connection& connection : list) {
    if (connection.name == "*") {
      star = true;
    } else if (connection.name.empty()) {
      if (position >= module.ports.size()) {
        fail(connection.span, fmt::format("module '{}' has {} ports", module.name, module.ports.size()));
      }
      join(module.ports[position++].name.name, connection.expr ? &*connection.expr : nullptr, connection.span);
    } else {
      join(connection.name, connection.expr ? &*connection.expr : nullptr, connection.span);
    }
  }
  if (!star) return;
  for (const ast::Formal& port : module.ports) {
    if (done[port.name.name]) continue;
    design_.exprs.push_back(ast::make_name(port.name.name));
    design_.exprs.back().span = item.span;
    if (!lookup(outer, port.name.name, item.span)) {
      fail(item.span, fmt::format("'.*' finds no '{}' here", port.name.name));
    }
    join(port.name.name, &design_.exprs.back(), item.span);
  }
}

void Elaborator::declare_instance(const Item& item, Scope* scope, int depth) {
  const ast::Module* module = unit_.find(item.name);
  if (!module) fail(item.name_span, fmt::format("no module '{}'", item.name));
  for (size_t which = 0; which < item.names.size(); ++which) {
    const ast::Declarator& name = item.names[which];
    if (!name.dims.empty()) unsupported(name.span, "array of instances");
    const auto parameters = [&](Scope* inner) {
      size_t position = 0;
      std::vector<std::pair<std::string, bool>> names;
      const auto collect = [&](const Item& parameter) {
        if (parameter.kind != ItemKind::kParameter || parameter.is_local) return;
        for (const ast::Declarator& d : parameter.names) {
          names.emplace_back(d.name, parameter.type.kind == ast::TypeKind::kTypeParameter);
        }
      };
      for (const Item& parameter : module->parameters) collect(parameter);
      if (module->parameters.empty()) {
        for (const Item& inside : module->items) collect(inside);
      }
      for (const ast::Connection& given : item.parameters) {
        if (!given.expr && !given.type && given.name.empty()) {
          ++position;
          continue;
        }
        std::string target = given.name;
        if (target.empty()) {
          if (position >= names.size()) fail(given.span, fmt::format("'{}' has {} parameters", item.name, names.size()));
          target = names[position++].first;
        }
        bool known = false, is_type = false;
        for (const auto& [n, t] : names) {
          if (n == target) {
            known = true;
            is_type = t;
          }
        }
        if (!known) fail(given.span, fmt::format("'{}' has no parameter '{}'", item.name, target));
        if (!given.expr && !given.type) continue;
        Symbol symbol;
        Frame frame;
        frame.scope = scope;
        if (given.type || is_type) {
          symbol.kind = Symbol::Kind::kType;
          ast::DataType named;
          if (!given.type) {
            if (given.expr->kind != ast::ExprKind::kName) fail(given.span, "a type expected");
            named.kind = ast::TypeKind::kNamed;
            named.name = given.expr->name;
            named.span = given.span;
          }
          symbol.type = resolve_type(given.type ? *given.type : named, scope);
        } else {
          const ExprType own = type_of(*given.expr, frame);
          symbol.kind = Symbol::Kind::kParameter;
          symbol.type = own.type && own.type->width == own.width ? own.type : bits_type(own.width, own.is_signed);
          symbol.value = own.type && own.type->is_unpacked ? evaluate_as(*given.expr, own.type, frame) : evaluate_self(*given.expr, frame);
        }
        inner->symbols["#" + target] = std::move(symbol);
      }
    };
    Scope* inner = instantiate(*module, scope->path + name.name + ".", parameters, &item, which, scope, depth + 1);
    Symbol symbol;
    symbol.kind = Symbol::Kind::kScope;
    symbol.scope = inner;
    declare(scope, name.name, std::move(symbol), name.span);
  }
}

}  // namespace callie::assertions
