#pragma once

#include <memory>
#include <string>

#include "cli/model_options.h"
#include "decode/speculative/draft_model.h"
#include "decode/speculative/speculator.h"

namespace callie::cli {

/// Options of verbs that speculate: run, serve.
struct DraftOptions {
  std::string draft;  ///< a model, "ngram" or empty
  std::string draft_len = "auto";
  int64_t head_rows = decode::DraftModelOptions().head_rows;

  void add_to(CLI::App& verb);
  /// Loads the draft for `target`; null without --draft. Errors: those of loading; kUsage (--draft-len);
  /// kInvalidArgument when the vocabularies differ.
  StatusOr<std::unique_ptr<decode::Speculator>> load(const ModelOptions& target_options, const Model& target,
                                                     decode::DraftModelOptions options, Context& context) const;
};

}  // namespace callie::cli
