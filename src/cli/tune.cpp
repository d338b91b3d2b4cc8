#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "cli/verbs.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "tune/exit_training.h"

namespace callie::cli {
namespace {

struct TuneExitsOptions {
  ModelOptions model;
  tune::ExitCorpusOptions corpus, eval;
  tune::ExitFitOptions fit;
  std::vector<int> layers;
  int64_t rows = 0;
  std::string out;
  bool odd = false, json = false;
};

Json json_of(const tune::ExitScore& s, const std::string& name) {
  return {{"texts", name},           {"layer", s.layer},           {"rows", s.rows},        {"agreement", s.agreement},
          {"confidence", s.confidence}, {"calibration", s.calibration}, {"coverage", s.coverage}};
}

// Scores of trained and untrained exits on positions of `features`, as JSON.
Status score(const std::string& name, const ExitHeads& trained, const ExitHeads& untrained,
             const tune::ExitFeatures& features, std::span<const int64_t> rows, const Context& context, Json& out) {
  CALLIE_ASSIGN_OR_RETURN(const auto own, tune::score_exits(trained, features, rows, context));
  CALLIE_ASSIGN_OR_RETURN(const auto lens, tune::score_exits(untrained, features, rows, context));
  for (size_t i = 0; i < own.size(); ++i) {
    Json line = json_of(own[i], name);
    line["untrained_agreement"] = lens[i].agreement;
    out.push_back(std::move(line));
  }
  return ok_status();
}

Status tune_exits(TuneExitsOptions options) {
  install_interrupt_handler();
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  const auto n_layers = static_cast<int>(model->spec().layers.size());
  if (options.layers.empty()) options.layers = {n_layers * 5 / 7 - 1, n_layers * 6 / 7 - 1};
  std::sort(options.layers.begin(), options.layers.end());
  for (const int layer : options.layers) {
    if (layer < 0 || layer + 1 >= n_layers) {
      return error(StatusCode::kUsage, "--layers: {} is not one of 0 to {}", layer, n_layers - 2);
    }
  }
  if (options.odd) options.corpus.parity = 1;
  options.eval.parity = options.odd ? 0 : -1;
  options.eval.tokens = 0;
  CALLIE_ASSIGN_OR_RETURN(const auto corpus,
                          tune::read_exit_corpus(model, options.corpus, options.out + ".continued", pool));
  CALLIE_ASSIGN_OR_RETURN(const auto features, tune::ExitFeatures::collect(model, corpus, options.layers,
                                                                           options.out + ".features", options.rows, pool));
  CALLIE_ASSIGN_OR_RETURN(ExitFile file, tune::fit_exits(model, features, options.fit, options.out + ".state", context));
  CALLIE_ASSIGN_OR_RETURN(const auto trained, ExitHeads::create(file, model, context));
  CALLIE_ASSIGN_OR_RETURN(const auto untrained, ExitHeads::create(tune::untrained_exits(*model, file), model, context));

  Json scores = Json::array();
  CALLIE_RETURN_IF_ERROR(score("held out", *trained, *untrained, features, tune::rows_of(features, true), context, scores));
  for (const std::string& path : options.eval.files) {
    tune::ExitCorpusOptions eval = options.eval;
    eval.files = {path};
    const std::string name = std::filesystem::path(path).filename().string();
    const std::string state = options.out + "." + name;
    CALLIE_ASSIGN_OR_RETURN(const auto pieces, tune::read_exit_corpus(model, eval, state + ".continued", pool));
    CALLIE_ASSIGN_OR_RETURN(const auto own, tune::ExitFeatures::collect(model, pieces, options.layers, state + ".features", 0, pool));
    std::vector<int64_t> rows(own.rows());
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
    CALLIE_RETURN_IF_ERROR(score(name, *trained, *untrained, own, rows, context, scores));
  }
  Json report = {{"scores", scores},
                 {"rows", features.rows()},
                 {"head_tokens", trained->head().rows()},
                 {"bytes_share", static_cast<double>(trained->bytes_each()) / static_cast<double>(model->decoder().bytes_per_token())}};
  file.report = report.dump();
  CALLIE_RETURN_IF_ERROR(write_exit_file(options.out, file));
  if (options.json) {
    std::cout << report.dump() << "\n";
    return ok_status();
  }
  std::cout << fmt::format("{} rows, {} tokens in an exit's head, an exit reads {:.1f} % of a pass\n", features.rows(),
                           trained->head().rows(), 100 * report["bytes_share"].get<double>());
  std::cout << fmt::format("{:<28} {:>6} {:>7} {:>10} {:>10} {:>12} {:>9}\n", "texts", "layer", "rows", "agreement",
                           "untrained", "calibration", "coverage");
  for (const Json& s : scores) {
    std::cout << fmt::format("{:<28} {:>6} {:>7} {:>10.3f} {:>10.3f} {:>12.3f} {:>9.3f}\n", s["texts"].get<std::string>(),
                             s["layer"].get<int>(), s["rows"].get<int64_t>(), s["agreement"].get<double>(),
                             s["untrained_agreement"].get<double>(), s["calibration"].get<double>(), s["coverage"].get<double>());
  }
  return ok_status();
}

void add_tune_exits(CLI::App& tune, Action& action) {
  auto options = std::make_shared<TuneExitsOptions>();
  TuneExitsOptions& o = *options;
  o.fit.refine.positions = 64'000;
  o.eval.continued = 12;
  o.eval.continue_tokens = 64;
  CLI::App* verb = tune.add_subcommand("exits", "train early exits of a frozen model, for the hints of callie cloud");
  verb->footer("Stops and goes on: files OUT.continued and OUT.features keep what was computed.\n"
               "Example: callie tune exits qwen2.5-coder-1.5b --corpus HumanEval.jsonl.gz wiki.txt --odd -o exits.safetensors");
  o.model.add_to(*verb);
  verb->add_option("--corpus", o.corpus.files, "texts: .txt or JSON lines of prompts; may be gzipped")->required();
  verb->add_option("-o,--out", o.out, "file to write")->required();
  verb->add_option("--eval", o.eval.files, "prompts whose continuations the exits are scored on");
  verb->add_flag("--odd", o.odd, "learn from odd-numbered problems only, score on even-numbered ones");
  verb->add_option("--tokens", o.corpus.tokens, "positions to learn from at most")->check(positive_number())->capture_default_str();
  verb->add_option("--rows", o.rows, "stop reading after so many of them, a fair sample (0 = read all)")->check(non_negative_number());
  verb->add_option("--continued", o.corpus.continued, "prompts of each file that the model itself continues")->check(non_negative_number())->capture_default_str();
  verb->add_option("--continue-tokens", o.corpus.continue_tokens, "tokens of a continuation")->check(positive_number())->capture_default_str();
  verb->add_option("--eval-prompts", o.eval.continued, "prompts of each file to score on")->check(positive_number())->capture_default_str();
  verb->add_option("--layers", o.layers, "layers after which exits stand (default: at five and at six sevenths)")->delimiter(',');
  verb->add_option("--head-rows", o.fit.head_rows, "tokens that an exit chooses from, the most frequent ones of the corpus")->check(positive_number())->capture_default_str();
  verb->add_option("--ridge", o.fit.ridge, "weight of the regression's penalty")->check(non_negative_number())->capture_default_str();
  verb->add_option("--refine", o.fit.refine.positions, "positions that the second stage learns from (0 = closed form only)")->check(non_negative_number())->capture_default_str();
  verb->add_option("--rank", o.fit.refine.rank, "of the second stage's correction")->check(CLI::Range(1, 1024))->capture_default_str();
  verb->add_flag("--json", o.json, "JSON on stdout");
  verb->callback([options, &action] { action = [options] { return tune_exits(*options); }; });
}

}  // namespace

void add_tune(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("tune", "train small parts beside frozen weights");
  verb->require_subcommand(1);
  add_tune_exits(*verb, action);
}

}  // namespace callie::cli
