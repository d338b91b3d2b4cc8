#pragma once

#include <map>
#include <tuple>

#include "assertions/elaborate/elaborator.h"

namespace callie::assertions {

/// Lowers one concurrent assertion to a `bad` literal that is true in the cycle in which some attempt fails.
///
/// Bounded properties are evaluated over windows: an attempt that began k cycles ago fails now when the property,
/// with every later cycle satisfying everything, is false (the weak semantics of IEEE 1800-2017 annex F: a finite
/// prefix is continued by a letter that satisfies each boolean; under negation by one that satisfies none).
/// Unbounded `until` and `always` are obligations that are handed from cycle to cycle.
class PropertyLowering {
 public:
  using Frame = Elaborator::Frame;
  PropertyLowering(Elaborator& elaborator, Frame frame) : e_(elaborator), frame_(std::move(frame)) {}

  void lower(const ast::Prop& property, Check& check);

 private:
  static constexpr int kUnbounded = 1 << 20;
  static constexpr int kMaxWindow = 256;
  struct Range { int low, high; };

  ast::Prop expand(const ast::Prop& p, int depth);
  ast::Prop instance(const Symbol& symbol, const std::string& name, std::vector<ast::Prop> args,
                     const std::vector<ast::Expr>& keys, Span span, int depth);
  bool is_sequence(const ast::Prop& p) const;
  Range range(const ast::Prop& p);
  void check_supported(const ast::Prop& p);
  int length(const ast::Prop& p);      ///< last offset that a property looks at; kUnbounded

  // Windows: offsets count from the start of the attempt, k is now.
  Lit atom(const ast::Expr& expr, int offset, int k, bool fill);
  Lit match(const ast::Prop& s, int i, int j, int k, bool fill);
  Lit match_repeat(const ast::Prop& s, int n, int i, int j, int k, bool fill);
  Lit holds(const ast::Prop& p, int i, int k, bool fill);
  Lit matched(const ast::Prop& s, int i, int k, bool fill);
  Lit fires(const ast::Prop& p, int i, int k);
  bool has_antecedent(const ast::Prop& p) const;

  void activate(const ast::Prop& p, Lit act);
  void window(const ast::Prop& p, Lit act);
  Lit delay(Lit lit, uint8_t init);
  [[noreturn]] void unsupported(const ast::Prop& p);

  Elaborator& e_;
  Frame frame_;
  Clock clock_;
  Span place_;
  bool has_clock_ = false;
  Lit disabled_ = kFalse;
  Lit bad_ = kFalse;
  Lit fire_ = kFalse;
  bool has_fire_ = false;
  std::map<const ast::Expr*, Lit> atoms_;
  std::map<std::tuple<const ast::Prop*, int, int, int, bool, int>, Lit> matches_;
};

}  // namespace callie::assertions
