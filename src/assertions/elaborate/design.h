#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "assertions/lower/words.h"
#include "assertions/syntax/ast.h"

/// The elaborated design: scopes with resolved names, variables flattened to bits, processes and assertions waiting to
/// be lowered, and the graph that lowering builds.
namespace callie::assertions {

struct Type {
  enum class Kind : uint8_t { kBit, kPacked, kStruct, kUnion, kUnpacked, kVoid, kString, kReal, kEvent };
  struct Field {
    std::string name;
    const Type* type;
    int offset;
  };
  Kind kind = Kind::kBit;
  int width = 1;              ///< bits in all, unpacked dimensions included
  bool is_signed = false;
  bool is_unpacked = false;   ///< an unpacked array or struct
  int left = 0, right = 0;    ///< of an array
  const Type* element = nullptr;
  std::vector<Field> fields;
  bool is_array() const { return kind == Kind::kPacked || kind == Kind::kUnpacked; }
  int low() const { return left < right ? left : right; }
  int high() const { return left < right ? right : left; }
  int count() const { return high() - low() + 1; }
};

constexpr Lit kUndriven = 0xffffffff;

struct Scope;

/// A clock: the signal as a literal of the unresolved graph, and its edge.
struct Clock {
  Lit signal = kFalse;
  ast::Edge edge = ast::Edge::kPos;
  Span span;
  std::string text;
  bool operator==(const Clock& other) const { return signal == other.signal && edge == other.edge; }
};

struct Variable {
  std::string name;           ///< hierarchical
  const Type* type = nullptr;
  Span span;
  bool is_input = false;      ///< of the top module
  bool is_net = false;
  bool is_local = false;      ///< lives in a process or a function call
  bool is_port_of_instance = false;
  bool is_contested = false;  ///< an integer that several processes count with: an error where its value is read
  Word leaves;                ///< made on first use
  std::vector<Lit> driver;    ///< per bit; kUndriven
  std::vector<uint8_t> init;  ///< per bit: 0, 1, 2 = any
  std::vector<Span> driver_span;
};

/// One bit of memory: a register bit, a latch bit, or a history bit that an assertion needs.
struct State {
  int variable = -1, bit = 0; ///< of the design's own registers
  Lit leaf = kFalse;
  Lit next = kFalse;
  uint8_t init = 2;
  Lit starts_as = kUndriven;  ///< a history: in the first cycle it has this literal's value of before the first clock
  bool has_clock = false;
  Clock clock;
};

/// What a leaf of the unresolved graph stands for.
struct LeafInfo {
  enum class Kind : uint8_t { kVariable, kState, kFree, kUnknown } kind;
  int index = 0, bit = 0;     ///< variable and bit, or state
  Span span;                  ///< of an unknown value's source
};

struct Symbol {
  enum class Kind : uint8_t {
    kVariable, kParameter, kType, kFunction, kScope, kScopeArray, kProperty, kSequence, kClocking, kArgument,
  } kind = Kind::kVariable;
  int variable = -1;
  Word value;                 ///< kParameter
  const Type* type = nullptr;
  const ast::Item* item = nullptr;
  Scope* scope = nullptr;     ///< kScope: itself; functions and properties: where they are declared
  std::map<int64_t, Scope*> elements;
  bool is_complete = false;   ///< both declarations of a non-ANSI port were seen
  const ast::Prop* argument = nullptr;  ///< kArgument: actual of a property or sequence, seen in `scope`
};

struct Scope {
  Scope* parent = nullptr;
  std::string path;           ///< hierarchical prefix with its dot, or empty
  std::string module;
  bool is_module = false;
  std::unordered_map<std::string, Symbol> symbols;
  std::vector<Scope*> imports;
  const ast::EventControl* default_clock = nullptr;
  Scope* default_clock_scope = nullptr;
  const ast::Expr* default_disable = nullptr;
  int unnamed_blocks = 0;
};

struct Process {
  const ast::Item* item = nullptr;
  Scope* scope = nullptr;
  // A port connection or net initializer instead of an item: target = source.
  int target = -1;
  const ast::Expr* source = nullptr;
  Scope* source_scope = nullptr;
  const ast::Expr* output_target = nullptr;  ///< output port: this expression in source_scope gets variable `target`
  Span span;
};

/// A lowered assertion over the unresolved graph.
struct Check {
  std::string name;
  Span span;
  ast::AssertKind kind = ast::AssertKind::kAssert;
  const ast::Assertion* source = nullptr;  ///< iterations of a loop share one check
  bool supported = true;
  std::string reason;         ///< not supported: the construct
  Span reason_span;
  StatusCode reason_code = StatusCode::kUnimplemented;  ///< kInvalidArgument: not valid, as with an unknown name
  Lit bad = kFalse;           ///< fails in this cycle
  Lit fire = kTrue;           ///< the antecedent or guard holds; kTrue: nothing to be vacuous
  bool has_fire = false;
  bool has_clock = false;
  Clock clock;
  bool reached = true;        ///< false: no condition that is not constantly false leads to the statement
};

struct Design {
  Aig aig;
  std::deque<Type> types;
  std::deque<Scope> scopes;
  std::deque<Variable> variables;
  std::vector<State> states;
  std::vector<LeafInfo> leaves;
  std::vector<Process> processes;
  std::vector<Check> checks;
  std::deque<ast::Prop> props;   ///< made during lowering
  std::deque<ast::Expr> exprs;

  Lit new_leaf(LeafInfo info) {
    leaves.push_back(info);
    return aig.leaf(static_cast<uint32_t>(leaves.size() - 1));
  }
  const LeafInfo& leaf_info(Lit lit) const { return leaves[aig.tag(node_of(lit))]; }
  Lit free_bit(Span span) { return new_leaf({LeafInfo::Kind::kFree, 0, 0, span}); }
  Lit unknown_bit(Span span) { return new_leaf({LeafInfo::Kind::kUnknown, 0, 0, span}); }
  int new_state() {
    State state;
    state.leaf = new_leaf({LeafInfo::Kind::kState, static_cast<int>(states.size()), 0, {}});
    states.push_back(std::move(state));
    return static_cast<int>(states.size()) - 1;
  }
  const Word& variable_leaves(int index);
};

}  // namespace callie::assertions
