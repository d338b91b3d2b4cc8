#pragma once

#include <functional>

#include "assertions/judge/bench.h"
#include "assertions/judge/view.h"

namespace callie::assertions {

/// Tries another wording of an assertion: true when it is proven (and can fire).
using TryProof = std::function<bool(const ast::Item&)>;

/// Why a refuted assertion is wrong, as far as a small change that makes it right, or the structure of the module,
/// tells.
void explain_refutation(const SourceSet& sources, const Bench& bench, const AssertionView& view, const TryProof& proven,
                        std::vector<Diagnostic>& out);

/// An assertion on the other edge of the clock than the registers that it speaks of.
void explain_clock(const SourceSet& sources, const AssertionView& view, const TryProof& proven, std::vector<Diagnostic>& out);

/// Literals with x or z bits outside of wildcard comparisons.
void check_literals(const SourceSet& sources, const ast::Item& item, std::vector<Diagnostic>& out);

/// The antecedent stands for a condition whose own block assigns a variable of it with `=`: what the condition saw is
/// gone when the assertion looks.
void check_condition(const SourceSet& sources, const Bench& bench, const AssertionView& view, std::vector<Diagnostic>& out);

/// The wider assertion that the code supports, when the antecedent holds the condition of an if statement that stands
/// beside the one that guards the assignment, as if the second were nested in the first.
std::optional<ast::Item> without_sibling(const Bench& bench, const AssertionView& view, Span* sibling);

}  // namespace callie::assertions
