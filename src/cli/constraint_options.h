#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "chat/grammar.h"
#include "core/status.h"

namespace callie::cli {

/// Options of verbs that constrain one answer: run, edge.
struct ConstraintOptions {
  std::string json_schema_file, grammar_file;

  struct Constraint {
    GrammarCompiler::Kind kind = GrammarCompiler::Kind::kJsonSchema;
    std::string source;
    std::unique_ptr<TokenMask> mask;  ///< null when none was asked for
  };

  void add_to(CLI::App& verb);
  /// Reads and compiles the file that was given. Warns of a schema's keywords that are not enforced. Errors: those of the
  /// file and of GrammarCompiler::compile, naming the file.
  StatusOr<Constraint> load(const Tokenizer& tokenizer) const;
};

}  // namespace callie::cli
