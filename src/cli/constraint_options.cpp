#include "cli/constraint_options.h"

#include <cstdio>

#include "core/atomic_file.h"

namespace callie::cli {

void ConstraintOptions::add_to(CLI::App& verb) {
  auto* schema = verb.add_option("--json-schema", json_schema_file, "file with a JSON schema for the answer");
  verb.add_option("--grammar", grammar_file, "file with a Lark grammar for the answer")->excludes(schema);
}

StatusOr<ConstraintOptions::Constraint> ConstraintOptions::load(const Tokenizer& tokenizer) const {
  Constraint out;
  if (json_schema_file.empty() && grammar_file.empty()) return out;
  if (json_schema_file.empty()) out.kind = GrammarCompiler::Kind::kLark;
  const std::string& file = json_schema_file.empty() ? grammar_file : json_schema_file;
  CALLIE_ASSIGN_OR_RETURN(out.source, read_text_file(file));
  CALLIE_ASSIGN_OR_RETURN(const auto compiler, GrammarCompiler::create(tokenizer));
  auto compiled = compiler->compile(out.kind, out.source);
  if (!compiled.ok()) return compiled.status().with_context(file);
  for (const std::string& warning : compiled->warnings) std::fprintf(stderr, "warning: %s: %s\n", file.c_str(), warning.c_str());
  out.mask = std::move(compiled->mask);
  return out;
}

}  // namespace callie::cli
