#include "cli/draft_options.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "cli/number_checks.h"

namespace callie::cli {
namespace {

constexpr int kLongestDraft = 63;
constexpr int64_t kCatchUp = 128;

StatusOr<int> parse_draft_len(const std::string& text) {
  if (text == "auto") return decode::SpeculationOptions::kAutomatic;
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 1 || value > kLongestDraft) {
    return error(StatusCode::kUsage, "--draft-len: '{}' is neither auto nor a number in 1..{}", text, kLongestDraft);
  }
  return value;
}

}  // namespace

void DraftOptions::add_to(CLI::App& verb) {
  verb.add_option("--draft", draft,
                  "speculate, with the same result: a small model of the same vocabulary, or ngram (prompt look-up)");
  verb.add_option("--draft-len", draft_len, "tokens of a draft, or auto (by expected gain)")->capture_default_str();
  verb.add_option("--draft-head", head_rows, "tokens that a draft model chooses from, the most frequent ones (0 = all)")
      ->check(non_negative_number())
      ->capture_default_str();
}

StatusOr<std::unique_ptr<decode::Speculator>> DraftOptions::load(const ModelOptions& target_options, const Model& target,
                                                                 decode::DraftModelOptions options,
                                                                 Context& context) const {
  decode::SpeculationOptions speculation;
  CALLIE_ASSIGN_OR_RETURN(speculation.draft_len, parse_draft_len(draft_len));
  if (draft.empty()) return std::unique_ptr<decode::Speculator>();
  // Between two passes for many sequences, the draft model may not hold all of them up with one long prompt.
  if (options.max_sequences > 1) speculation.catch_up = kCatchUp;
  std::unique_ptr<decode::DraftModel> model;
  if (draft != "ngram") {
    ModelOptions draft_options = target_options;
    draft_options.model = draft;
    const auto loaded = load_model(draft_options, context);
    if (!loaded.ok()) return loaded.status().with_context("--draft");
    options.head_rows = head_rows;
    auto created = decode::DraftModel::create(*loaded, target, options, *context.pool);
    if (!created.ok()) return created.status().with_context("--draft");
    model = std::move(*created);
  }
  return std::make_unique<decode::Speculator>(speculation, std::move(model), target.decoder().bytes_per_token());
}

}  // namespace callie::cli
