#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assertions/judge/answer.h"
#include "assertions/judge/assignments.h"
#include "assertions/prove/prove.h"

namespace callie::assertions {

/// A module on which single assertions are tried: as it is, or with its signals set free, so that an assertion is
/// looked at as a statement about signals only. Const use is thread-safe.
class Bench {
 public:
  /// `text` holds the module to assert on (the one that no other instantiates). Assertions in it are taken out;
  /// assumptions stay. Errors: what does not parse, or holds no module.
  static StatusOr<Bench> create(const std::string& text, SourceError* problem);

  enum class Base { kDesign, kFree };
  struct Item {
    const ast::Item* item;
    bool assume = false;
  };
  struct Outcome {
    std::vector<AssertionResult> results;  ///< of the asserted items, in their order
    bool failed = false;                   ///< nothing could be elaborated
    SourceError problem;                   ///< when failed
  };
  /// Proves the asserted items under the assumed ones, with the answers' `support`. `sources` holds the texts of items.
  Outcome prove(const SourceSet& sources, Base base, const std::vector<const std::vector<ast::Item>*>& support,
                const std::vector<Item>& items, const ProveOptions& options) const;

  const SourceSet& sources() const { return sources_; }
  const ast::Module& module() const { return design_.modules[top_]; }
  const ModuleStructure& structure() const { return structure_; }
  /// What the module's scope declares.
  const std::vector<std::string>& names() const { return names_; }
  /// Set when the module cannot be elaborated even without assertions.
  const std::optional<SourceError>& broken() const { return broken_; }

  Bench(Bench&&) = default;
  Bench& operator=(Bench&&) = default;

 private:
  Bench() = default;

  SourceSet sources_;
  ast::Unit design_, free_;
  size_t top_ = 0;
  ModuleStructure structure_;
  std::vector<std::string> names_;
  std::optional<SourceError> broken_;
};

}  // namespace callie::assertions
