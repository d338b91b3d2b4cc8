#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assertions/prove/prove.h"
#include "core/json.h"

namespace callie::assertions {

struct MutateOptions {
  bool assertions = true;   ///< wrong variants of the assertions
  bool designs = true;      ///< wrong variants of the design
  ProveOptions prove;       ///< `top` names the module to change; empty: the last one
  std::function<void(int64_t done, int64_t total)> progress;  ///< variants
};

/// A wrong variant and what became of it.
struct DecidedMutant {
  std::string kind;     ///< "assertion:flip-bit", "design:swap-arms", ...
  std::string of;       ///< the assertion that was changed, or that caught the design; may be empty
  std::string text;
  std::string verdict;  ///< a verdict's name ("proven" is "equivalent"), or "not caught" (a design)
  std::optional<Witness> witness;
};

/// Every wrong variant of a module's assertions and of the module itself. A design is caught by an assertion that holds on
/// the original and fails on the variant. Errors: kNotFound (no such module), kInvalidArgument (no module), kCancelled,
/// those of prove() on the original.
StatusOr<std::vector<DecidedMutant>> decide_mutants(SourceSet& sources, const ast::Unit& unit, const MutateOptions& options);

Json to_json(const DecidedMutant& mutant);

}  // namespace callie::assertions
