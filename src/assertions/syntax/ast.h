#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assertions/syntax/source.h"

/// The typed syntax tree of the SystemVerilog subset. Nodes are plain values: copying one copies everything below it,
/// `==` compares what the text says (never where it stands), and a transformation edits a copy in place.
namespace callie::assertions::ast {

/// An optional child with value semantics.
template <typename T>
class Box {
 public:
  Box() = default;
  Box(T value) : value_(std::make_unique<T>(std::move(value))) {}
  Box(const Box& other) : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
  Box(Box&&) noexcept = default;
  Box& operator=(const Box& other) {
    if (this != &other) value_ = other.value_ ? std::make_unique<T>(*other.value_) : nullptr;
    return *this;
  }
  Box& operator=(Box&&) noexcept = default;
  explicit operator bool() const { return value_ != nullptr; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }
  bool operator==(const Box& other) const {
    return value_ && other.value_ ? *value_ == *other.value_ : !value_ == !other.value_;
  }

 private:
  std::unique_ptr<T> value_;
};

/// A literal. Bit i is value[i/64]>>(i%64); where `unknown` is set the bit is x (value 0) or z/? (value 1).
struct Number {
  int width = 32;           ///< bits that are stored
  bool sized = false;       ///< written with a width
  bool is_signed = true;
  bool fill = false;        ///< '0 '1 'x 'z: repeats to the width of its context
  char base = 'd';          ///< b o d h
  std::vector<uint64_t> value, unknown;

  bool bit(int i) const { return i < width && (value[i / 64] >> (i % 64) & 1); }
  bool unknown_bit(int i) const { return i < width && (unknown[i / 64] >> (i % 64) & 1); }
  bool has_unknown() const;
  bool operator==(const Number&) const = default;
};
Number make_number(int width, uint64_t value, char base = 'h');

struct DataType;

enum class ExprKind : uint8_t {
  kNumber, kString,
  kName,        ///< name, or "package::name"
  kMember,      ///< args[0].name
  kIndex,       ///< args[0][args[1]]
  kRange,       ///< args[0][args[1]:args[2]]
  kRangeUp,     ///< args[0][args[1] +: args[2]]
  kRangeDown,   ///< args[0][args[1] -: args[2]]
  kUnary, kBinary,
  kTernary,     ///< args[0] ? args[1] : args[2]
  kConcat,      ///< {args...}
  kReplicate,   ///< {args[0]{args[1]}}; args[1] is a kConcat
  kStream,      ///< {op args[0] args[1]}: op is kShl or kShr, args[0] the size of a slice or kEmpty, args[1] a kConcat
  kCall,        ///< name(args...), also $name
  kCast,        ///< type'(args[0]); args[1]'(args[0]) (a width or a type's name); signed'/unsigned' by `name`
  kInside,      ///< args[0] inside {args[1...]}
  kValueRange,  ///< [args[0]:args[1]] within inside
  kPattern,     ///< '{args...}; with `keys` when named ("default" too)
  kDollar,      ///< $
  kType,        ///< a type as an argument of $bits
  kEvent,       ///< @(edge args[0]) as an argument; `name` is the edge
  kEmpty,       ///< an argument left out
};

enum class Op : uint8_t {
  kNone,
  kPlus, kMinus, kNot, kBitNot, kAnd, kNand, kOr, kNor, kXor, kXnor,  // unary (kAnd... are reductions)
  kAdd, kSub, kMul, kDiv, kMod, kPower,
  kShl, kShr, kAshl, kAshr,
  kLt, kLe, kGt, kGe, kEq, kNe, kCaseEq, kCaseNe, kWildEq, kWildNe,
  kLogicAnd, kLogicOr, kImplies, kEquiv,
  kBitAnd, kBitOr, kBitXor, kBitXnor,
};
/// The operator as it is written.
std::string_view spelling(Op op);

struct Expr {
  ExprKind kind = ExprKind::kNumber;
  Op op = Op::kNone;
  Span span;
  std::string name;
  std::vector<Expr> args;
  std::vector<std::string> keys;
  Box<Number> number;
  Box<DataType> type;
  bool operator==(const Expr&) const = default;
};

Expr make_name(std::string name);
Expr make_number_expr(int width, uint64_t value, char base = 'h');
Expr make_unary(Op op, Expr a);
Expr make_binary(Op op, Expr a, Expr b);
Expr make_call(std::string name, std::vector<Expr> args);

/// [left:right], or [left] (a size) when there is no right; both empty: [].
struct Dimension {
  Box<Expr> left, right;
  bool operator==(const Dimension&) const = default;
};

enum class TypeKind : uint8_t {
  kImplicit, kLogic, kReg, kBit, kByte, kShortInt, kInt, kLongInt, kInteger, kTime, kEnum, kStruct, kUnion, kNamed,
  kVoid, kString, kReal, kGenvar, kEvent, kTypeParameter,
};

struct EnumMember {
  std::string name;
  Box<Expr> value;
  Span span;
  bool operator==(const EnumMember&) const = default;
};

struct Declarator;

struct StructField;

struct DataType {
  TypeKind kind = TypeKind::kImplicit;
  Span span;
  bool has_sign = false;  ///< signed/unsigned was written
  bool is_signed = false;
  bool packed = false;    ///< struct packed
  std::string name;       ///< kNamed: "t" or "p::t"
  std::vector<Dimension> dims;
  Box<DataType> base;                 ///< of an enum
  std::vector<EnumMember> members;    ///< of an enum
  std::vector<StructField> fields;    ///< of a struct or union
  bool operator==(const DataType&) const = default;
};

/// One name of a declaration.
struct Declarator {
  std::string name;
  Span span;
  std::vector<Dimension> dims;  ///< unpacked
  Box<Expr> init;
  Box<DataType> type_init;      ///< parameter type T = logic
  bool operator==(const Declarator&) const = default;
};

struct StructField {
  DataType type;
  std::vector<Declarator> names;
  bool operator==(const StructField&) const = default;
};

enum class Direction : uint8_t { kNone, kInput, kOutput, kInout, kRef };
enum class Edge : uint8_t { kAny, kPos, kNeg };

struct EventTerm {
  Edge edge = Edge::kAny;
  Expr expr;
  Box<Expr> iff;
  Span span;
  bool operator==(const EventTerm&) const = default;
};

/// @(a or b), @*, @(name of a clocking block).
struct EventControl {
  bool star = false;
  std::vector<EventTerm> terms;
  Span span;
  bool operator==(const EventControl&) const = default;
};

enum class PropKind : uint8_t {
  kBoolean,      ///< expr
  kInstance,     ///< name(args): a named sequence or property, arguments are properties
  kDelay,        ///< args[0] ##[low:high] args[1]; args[0] is absent when one arg (leading delay)
  kRepeat,       ///< args[0][*low:high]
  kGoto,         ///< args[0][->low:high]
  kNonConsec,    ///< args[0][=low:high]
  kThroughout, kWithin, kIntersect, kAnd, kOr, kFirstMatch,
  kClocked,      ///< @(event) args[0]
  kStrong, kWeak, kNot, kNextTime, kSNextTime,  ///< low is the count of nexttime[n]
  kAlways, kSAlways, kEventually, kSEventually, ///< low:high optional
  kImplies, kIff, kUntil, kSUntil, kUntilWith, kSUntilWith,
  kOverlap,      ///< args[0] |-> args[1]
  kNonOverlap,   ///< args[0] |=> args[1]
  kFollowedBy,   ///< #-#
  kFollowedByNext,  ///< #=#
  kIf,           ///< if (expr) args[0] [else args[1]]
  kCase,         ///< case (expr) with `labels`
  kAcceptOn, kRejectOn, kSyncAcceptOn, kSyncRejectOn,
  kDisable,      ///< disable iff (expr) args[0]
  kAssigned,     ///< (args[0], items...): local-variable assignments
};
/// The operator's own spelling, for messages.
std::string_view spelling(PropKind kind);

struct Prop {
  PropKind kind = PropKind::kBoolean;
  Span span;
  Span op_span;              ///< of the operator, for messages
  std::string name;
  Box<Expr> expr;
  std::vector<Prop> args;
  Box<Expr> low, high;       ///< high is kDollar for $; absent means "= low"
  std::vector<std::vector<Expr>> labels;  ///< kCase: one list for each arg; an empty list is default
  Box<EventControl> event;
  std::vector<Expr> items;
  bool operator==(const Prop&) const = default;
};

struct Stmt;

/// assert/assume/cover/restrict [property|final|#0], immediate or concurrent, as a statement or an item.
enum class AssertKind : uint8_t { kAssert, kAssume, kCover, kRestrict, kCoverSequence };
struct Assertion {
  AssertKind kind = AssertKind::kAssert;
  bool concurrent = false;
  bool final_deferred = false, zero_deferred = false;
  Span span;
  Box<Expr> expr;       ///< immediate
  Box<Prop> property;   ///< concurrent
  std::vector<Stmt> pass, fail;  ///< at most one each
  bool operator==(const Assertion&) const = default;
};

enum class StmtKind : uint8_t {
  kNull, kBlock, kIf, kCase, kAssign, kFor, kWhile, kDoWhile, kRepeat, kForever, kForeach, kDecl, kCall, kAssert,
  kReturn, kBreak, kContinue, kTimed, kDelay, kWait, kOther,
};
enum class CaseKind : uint8_t { kCase, kCasez, kCasex, kInside };
enum class Uniqueness : uint8_t { kNone, kUnique, kUnique0, kPriority };

struct Item;

struct CaseArm {
  std::vector<Expr> labels;  ///< empty: default
  std::vector<Stmt> body;    ///< exactly one
  Span span;
  bool operator==(const CaseArm&) const = default;
};

struct Stmt {
  StmtKind kind = StmtKind::kNull;
  Span span;
  std::string label;
  Box<Expr> expr;           ///< condition, selector, call, returned value, loop count
  Box<Expr> target;         ///< kAssign: left side
  bool nonblocking = false;
  Op op = Op::kNone;        ///< kAssign: compound operator (kAdd for +=)
  Uniqueness unique = Uniqueness::kNone;
  CaseKind case_kind = CaseKind::kCase;
  std::vector<CaseArm> arms;
  std::vector<Stmt> body;   ///< block: all; if: then [, else]; loops: the body
  std::vector<Stmt> init, step;   ///< for
  Box<EventControl> event;  ///< kTimed
  Box<Assertion> assertion;
  Box<Item> decl;           ///< kDecl
  std::vector<std::string> loop_vars;  ///< foreach
  std::string name;         ///< kOther: the construct's spelling
  bool operator==(const Stmt&) const = default;
};

enum class ItemKind : uint8_t {
  kDecl, kParameter, kTypedef, kAssign, kAlways, kInitial, kFinal, kInstance, kGenerateFor, kGenerateIf,
  kGenerateCase, kGenerateBlock, kGenvar, kFunction, kTask, kAssertion, kProperty, kSequence, kClocking,
  kDefaultClocking, kDefaultDisable, kImport,
  kBind,        ///< items[0] is an instance, put into every instance of the module `name`
  kOther,
};
enum class AlwaysKind : uint8_t { kAlways, kComb, kFf, kLatch };

struct Connection {
  std::string name;    ///< empty: by position; "*": .*
  Box<Expr> expr;      ///< empty: open; for type parameters `type` is set
  Box<DataType> type;
  Span span;
  bool operator==(const Connection&) const = default;
};

/// A formal argument of a function, task, property or sequence, or a port.
struct Formal {
  Direction direction = Direction::kNone;
  DataType type;
  bool is_net = false;
  bool untyped = false;     ///< property/sequence formals without a type, or of type sequence/property/untyped
  std::string kind;         ///< "property", "sequence", "event", "untyped" where written
  Declarator name;
  bool operator==(const Formal&) const = default;
};

struct Item {
  ItemKind kind = ItemKind::kOther;
  Span span;
  std::string label;         ///< of an assertion
  std::string name;          ///< block, function, instance module, property, import "p::x", kOther spelling
  Span name_span;
  Direction direction = Direction::kNone;  ///< kDecl: non-ANSI ports
  bool is_net = false;
  bool is_const = false;
  bool is_local = false;     ///< localparam
  DataType type;
  std::vector<Declarator> names;           ///< declarations, instances (name + dims), genvars
  std::vector<std::pair<Expr, Expr>> assigns;
  AlwaysKind always = AlwaysKind::kAlways;
  std::vector<Stmt> body;                  ///< processes (one), functions (all)
  std::vector<Connection> parameters;      ///< of instances
  std::vector<std::vector<Connection>> ports;  ///< one for each name
  std::vector<Item> items;                 ///< generate blocks; if: then block [, else block]; clocking: nothing
  std::vector<std::vector<Expr>> labels;   ///< generate case: one for each item
  Box<Expr> expr;                          ///< generate condition, default disable
  Box<Stmt> init, step;                    ///< generate for
  std::vector<Formal> formals;
  Box<Assertion> assertion;
  Box<Prop> property;                      ///< body of kProperty/kSequence
  Box<EventControl> event;                 ///< clocking
  bool is_default = false;                 ///< default clocking NAME @(...)
  bool operator==(const Item&) const = default;
};

struct Module {
  enum class Kind : uint8_t { kModule, kPackage, kInterface, kProgram };
  Kind kind = Kind::kModule;
  std::string name;
  Span span, name_span;
  Span end_span;                ///< of endmodule
  std::vector<Item> imports;
  std::vector<Item> parameters; ///< kParameter items of #( ... )
  std::vector<Formal> ports;    ///< ANSI, or names only
  bool ansi = true;
  bool wildcard_ports = false;
  std::vector<Item> items;
  bool operator==(const Module&) const = default;
};

/// Everything of one parse: modules and packages in order, and what stands outside them.
struct Unit {
  std::vector<Module> modules;
  std::vector<Item> items;
  bool operator==(const Unit&) const = default;

  const Module* find(std::string_view name) const;
};

}  // namespace callie::assertions::ast
