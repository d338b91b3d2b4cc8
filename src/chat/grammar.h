#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "engine/token_mask.h"

namespace callie {

class Tokenizer;

/// Compiles constraints for one tokenizer. The trie of the vocabulary is built once, here (tens of milliseconds).
/// Immutable; safe to use from several threads. The tokenizer must outlive it.
class GrammarCompiler {
 public:
  static StatusOr<std::shared_ptr<const GrammarCompiler>> create(const Tokenizer& tokenizer);
  ~GrammarCompiler();

  enum class Kind { kJsonSchema, kRegex, kLark };

  struct Compiled {
    std::unique_ptr<TokenMask> mask;
    std::vector<std::string> warnings;  ///< keywords of a schema that are not enforced
  };
  /// Errors: kInvalidArgument with the place in `source`, or naming the keywords of a schema that are not supported.
  StatusOr<Compiled> compile(Kind kind, std::string_view source) const;

  struct Impl;  ///< shared with the masks, which may outlive the compiler

 private:
  explicit GrammarCompiler(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace callie
