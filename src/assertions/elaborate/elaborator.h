#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "assertions/elaborate/design.h"

namespace callie::assertions {

/// Builds a Design from a syntax tree: names, types, parameters, generate constructs, instances (flattened), then
/// processes by symbolic execution and assertions by lowering to monitors. Throws SourceError; kUnimplemented marks a
/// construct outside of the subset.
class Elaborator {
 public:
  Elaborator(const ast::Unit& unit, Design& design);

  void elaborate(const ast::Module& top, const std::map<std::string, std::string>& parameters);

 private:
  friend class PropertyLowering;

  /// Values of variables inside a process: a branch writes into a child and is merged by a multiplexer.
  struct Cell {
    Word bits;
    std::vector<bool> touched;
  };
  struct Env {
    Env* parent = nullptr;
    std::map<int, Cell> blocking, nonblocking;
    Cell* find(int variable, bool nb);
  };
  struct Frame {            ///< one activation of a process or function
    Scope* scope = nullptr;
    Env* env = nullptr;
    bool is_clocked = false;
    bool is_initial = false;
    bool has_clock = false;
    Clock clock;
    Lit guard = kTrue;      ///< path condition
    Lit dead = kFalse;      ///< behind return, break or continue
    Lit returned = kFalse, broken = kFalse, continued = kFalse;
    int return_variable = -1;
    int depth = 0;
    bool in_assertion = false;
  };
  struct ExprType {
    int width = 1;
    bool is_signed = false;
    const Type* type = nullptr;
    bool is_fill = false;
  };
  /// A selected part of a variable, or of a value when `value` is set.
  struct Target {
    int variable = -1;
    std::shared_ptr<Word> value;
    int offset = 0;
    const Type* type = nullptr;
    int width = 0;
    bool out_of_range = false;
    /// Condition and offset of each place that a dynamic index can reach, with bits clipped to [first, first+count).
    struct Place { Lit condition; int offset; int skip; int count; };
    bool is_dynamic = false;
    bool may_miss = false;  ///< an index can lie outside
    std::vector<Place> places;
  };

  // elaborator.cpp: scopes and items.
  Scope* new_scope(Scope* parent, std::string path);
  Scope* package(const std::string& name, Span span);
  Scope* instantiate(const ast::Module& module, const std::string& path,
                     const std::function<void(Scope*)>& parameters, const ast::Item* instance, size_t which,
                     Scope* outer, int depth);
  /// Sets where a variable starts.
  void initialize(int variable, const ast::Expr& init, Scope* scope);
  void declare_items(const std::vector<ast::Item>& items, Scope* scope, int depth);
  void declare_item(const ast::Item& item, Scope* scope, int depth);
  void declare_implicit_nets();
  void declare_parameter(const ast::Item& item, Scope* scope);
  void declare_import(const ast::Item& item, Scope* scope);
  int declare_variable(const ast::Declarator& name, const ast::DataType& type, Scope* scope, bool is_net);
  void declare_generate(const ast::Item& item, Scope* scope, int depth);
  Scope* declare_block(const ast::Item& block, Scope* scope);
  void declare_instance(const ast::Item& item, Scope* scope, int depth);
  void connect(const ast::Module& module, Scope* inner, const ast::Item& item, size_t which, Scope* outer);
  void declare(Scope* scope, const std::string& name, Symbol symbol, Span span);
  Symbol* find(Scope* scope, const std::string& name);
  Symbol* lookup(Scope* scope, const std::string& name, Span span);
  Symbol* resolve(const ast::Expr& expr, Frame& frame);
  /// As resolve() for the name of a call: inside a function its own name is the function, not the value it returns.
  Symbol* resolve_called(const std::string& name, Frame& frame);

  // types.cpp
  const Type* bits_type(int width, bool is_signed);
  const Type* resolve_type(const ast::DataType& type, Scope* scope);
  const Type* apply_packed(const Type* base, const std::vector<ast::Dimension>& dims, Scope* scope, Span span,
                           bool is_signed);
  const Type* apply_unpacked(const Type* base, const std::vector<ast::Dimension>& dims, Scope* scope, Span span);
  std::optional<std::pair<int, const Type*>> field_of(const Type* type, const std::string& name) const;

  // expression.cpp
  ExprType type_of(const ast::Expr& expr, Frame& frame);
  ExprType type_of_call(const ast::Expr& expr, Frame& frame);
  Word evaluate(const ast::Expr& expr, int width, bool is_signed, Frame& frame);
  Word evaluate_self(const ast::Expr& expr, Frame& frame);
  Word evaluate_as(const ast::Expr& expr, const Type* type, Frame& frame);  ///< assignment-like context
  Word evaluate_binary(const ast::Expr& expr, int width, bool is_signed, Frame& frame);
  Word stream(const ast::Expr& expr, Frame& frame);
  Word evaluate_unary(const ast::Expr& expr, int width, bool is_signed, Frame& frame);
  Lit compare(const ast::Expr& expr, Frame& frame);
  Lit wild_equal(const Word& value, const ast::Expr& pattern, int width, bool is_signed, bool z_only, Frame& frame);
  Lit inside(const ast::Expr& value, const ast::Expr& item, Frame& frame);
  Word number_word(const ast::Number& number, int width, Span span, Frame& frame);
  Word pattern_word(const ast::Expr& expr, const Type* type, Frame& frame);
  Lit condition(const ast::Expr& expr, Frame& frame);
  int64_t constant(const ast::Expr& expr, Frame& frame, std::string_view what);
  int64_t constant(const ast::Expr& expr, Scope* scope, std::string_view what);
  /// `{0{x}}` is nothing, and allowed beside other parts of a concatenation (IEEE 1800-2017, 11.4.12.1).
  bool is_empty_replication(const ast::Expr& part, Frame& frame);
  Word read(const Target& target, Frame& frame, Span span);
  const Word& read_variable(int variable, Frame& frame);
  Target resolve_target(const ast::Expr& expr, Frame& frame);
  const Type* as_vector(const Type* type);
  const Type* select_type(const ast::Expr& expr, Frame& frame);
  void narrow(Target& target, int offset, int width, const Type* type);
  void narrow_dynamic(Target& target, const Word& position, int first, int last, int stride, int width,
                      const Type* type, bool may_miss);
  Word relative_index(const ast::Expr& index, int low_index, bool descending, Frame& frame, bool* exact);
  void select_index(Target& target, const ast::Expr& index, Frame& frame);
  void select_range(Target& target, const ast::Expr& expr, Frame& frame);

  // call.cpp
  Word evaluate_call(const ast::Expr& expr, int width, bool is_signed, Frame& frame);
  Word evaluate_system_call(const ast::Expr& expr, Frame& frame);
  Word call_function(const Symbol& function, const ast::Expr& call, Frame& frame);
  Word past(const Word& word, int cycles, Lit gate, const Clock& clock);
  Word sampled_argument(const ast::Expr& expr, Frame& frame);
  Clock call_clock(const ast::Expr& expr, size_t argument, Frame& frame);
  Clock resolve_clock(const ast::EventControl& event, Scope* scope, Span span);
  Clock resolve_edge(const ast::EventTerm& term, Frame& frame);

  // process.cpp
  void lower_process(const Process& process);
  void lower_always(const ast::Item& item, Scope* scope);
  void lower_combinational(const ast::Stmt& body, Scope* scope, Span span);
  void lower_clocked(const ast::Stmt& body, const ast::EventControl& event, Scope* scope, Span span);
  void lower_initial(const ast::Item& item, Scope* scope);
  void lower_assign(const ast::Expr& target, const ast::Expr& source, Scope* target_scope, Scope* source_scope,
                    Span span);
  void drive(int variable, int bit, Lit lit, Span span);
  Lit first_cycle();
  void keep_unknown_starts();
  void finish_combinational(Env& env, Span span);
  bool is_hold(Lit driver, Lit leaf);
  bool holds_at(Lit level, Lit condition) const;

  // statement.cpp
  void execute(const ast::Stmt& statement, Frame& frame);
  void execute_list(const std::vector<ast::Stmt>& list, size_t from, Frame& frame);
  void execute_if(Lit condition, const std::function<void(Frame&)>& then_part,
                  const std::function<void(Frame&)>& else_part, Frame& frame);
  void execute_case(const ast::Stmt& statement, Frame& frame);
  void execute_case_arms(const ast::Stmt& statement, const std::vector<Lit>& matches, size_t arm, int default_arm,
                         Frame& frame);
  void execute_loop(const ast::Stmt& statement, Frame& frame);
  void execute_foreach(const ast::Stmt& statement, Frame& frame);
  bool ends_turn(Frame& frame);
  void execute_rest(const ast::Stmt& loop, const std::function<void(Frame&)>& rest, Frame& frame);
  void assume(Lit condition, Frame& frame);
  void leave_loop(Frame& frame, const Frame& before);
  void execute_call(const ast::Stmt& statement, Frame& frame);
  void execute_assert(const ast::Stmt& statement, Frame& frame);
  void note_unreached(const ast::Stmt& statement, const Frame& frame);
  void note_unreached(const ast::Stmt& statement, const std::string& path, const Frame& frame);
  void assign(const ast::Expr& target, const Word& value, bool nonblocking, Frame& frame);
  void assign_target(const Target& target, const Word& value, bool nonblocking, Frame& frame, Span span);
  void merge(Lit condition, Env& then_env, Env& else_env, Env& into);
  int declare_local(const ast::Declarator& name, const ast::DataType& type, Frame& frame, bool automatic);
  void declare_local_item(const ast::Item& item, Frame& frame);
  Cell& writable(int variable, bool nonblocking, Frame& frame);

  // property.cpp
  void add_check(Check check, const std::string& path);
  void lower_assertion(const ast::Assertion& assertion, const std::string& label, Frame& frame, Span span);

  [[noreturn]] void fail(Span span, std::string message) const;
  [[noreturn]] void unsupported(Span span, std::string construct) const;
  void charge(Span span);

  const ast::Unit& unit_;
  Design& design_;
  Aig& aig_;
  Scope* root_ = nullptr;
  std::map<std::string, Scope*> packages_;
  std::map<std::pair<Lit, std::pair<Lit, int>>, Lit> history_;
  std::vector<std::pair<const ast::Item*, Scope*>> assertion_items_;
  std::map<std::pair<const ast::Assertion*, std::string>, std::vector<size_t>> checks_of_;
  std::vector<std::pair<int, int>> starts_anyhow_;      ///< variable and bit
  std::multimap<std::string, const ast::Item*> binds_;  ///< by the module that they extend
  Lit first_cycle_ = kFalse;
  int call_depth_ = 0, loop_exits_ = 0;
  int64_t steps_ = 0;
};

}  // namespace callie::assertions
