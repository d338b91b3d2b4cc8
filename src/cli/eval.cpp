#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "cli/model_options.h"
#include "cli/number_checks.h"
#include "cli/verbs.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "core/progress.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"

namespace callie::cli {
namespace {

struct TextOptions {
  ModelOptions model;
  ContextOptions context;
  std::string file;
  int64_t max_tokens = 0;
  bool json = false;
};

/// The file's tokens, BOS first where the model wants one; at most max_tokens of them.
StatusOr<std::vector<int32_t>> tokens_of(const TextOptions& options, const Tokenizer& tokenizer) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(options.file));
  auto tokens = tokenizer.encode(text, {.add_special = true, .lossy = true});
  if (!tokens.ok()) return tokens.status().with_context(options.file);
  if (options.max_tokens > 0 && static_cast<int64_t>(tokens->size()) > options.max_tokens) tokens->resize(options.max_tokens);
  return tokens;
}

Status eval_ppl(TextOptions options) {
  install_interrupt_handler();
  if (options.context.ctx == 0) options.context.ctx = 512;
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  CALLIE_ASSIGN_OR_RETURN(const SessionOptions session_options, options.context.session_options());
  CALLIE_ASSIGN_OR_RETURN(const auto session, Session::create(model, session_options, pool));
  CALLIE_ASSIGN_OR_RETURN(const auto tokens, tokens_of(options, model->tokenizer()));
  Progress progress("ppl", static_cast<int64_t>(tokens.size()) / options.context.ctx, "windows");
  const auto result = eval::perplexity(*session, tokens, options.context.ctx, [&](int64_t done) { progress.update(done); });
  if (!result.ok()) return result.status().with_context(options.file);
  progress.finish();
  if (options.json) {
    std::cout << Json{{"ppl", result->ppl},
                      {"nll", result->nll},
                      {"stderr", result->stderr_},
                      {"tokens", result->tokens},
                      {"windows", result->windows},
                      {"ctx", options.context.ctx}}
                     .dump()
              << "\n";
  } else {
    std::printf("perplexity %.4f ± %.4f over %ld tokens (context %ld)\n", result->ppl, result->stderr_,
                static_cast<long>(result->tokens), static_cast<long>(options.context.ctx));
  }
  return ok_status();
}

Status eval_kl(TextOptions options) {
  install_interrupt_handler();
  if (options.context.ctx == 0) options.context.ctx = 512;
  if (options.max_tokens == 0) options.max_tokens = 4096;
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  CALLIE_ASSIGN_OR_RETURN(const SessionOptions measured_options, options.context.session_options());
  SessionOptions reference_options = measured_options;
  reference_options.precision = nn::Precision::kF32;
  reference_options.kv_format = kernels::KvFormat::kF32;
  CALLIE_ASSIGN_OR_RETURN(const auto measured, Session::create(model, measured_options, pool));
  CALLIE_ASSIGN_OR_RETURN(const auto reference, Session::create(model, reference_options, pool));
  CALLIE_ASSIGN_OR_RETURN(const auto tokens, tokens_of(options, model->tokenizer()));
  Progress progress("kl", static_cast<int64_t>(tokens.size()), "tokens");
  const auto result = eval::divergence(*reference, *measured, tokens, options.context.ctx,
                                       [&](int64_t done) { progress.update(done); });
  if (!result.ok()) return result.status().with_context(options.file);
  progress.finish();
  if (options.json) {
    std::cout << Json{{"mean_kl", result->mean_kl}, {"p99_kl", result->p99_kl}, {"max_kl", result->max_kl},
                      {"same_top1", result->same_top1}, {"tokens", result->tokens}}
                     .dump()
              << "\n";
  } else {
    std::printf("KL(f32 || default): mean %.3g, p99 %.3g, max %.3g nats; same top token %.2f %% of %ld\n",
                result->mean_kl, result->p99_kl, result->max_kl, 100 * result->same_top1,
                static_cast<long>(result->tokens));
  }
  return ok_status();
}

void add_text_options(CLI::App& verb, const std::shared_ptr<TextOptions>& options) {
  options->model.add_to(verb);
  options->context.add_to(verb);
  verb.add_option("--file", options->file, "text file")->required();
  verb.add_option("--max-tokens", options->max_tokens, "tokens of the text used at most (0 = all; kl: 4096)")
      ->check(non_negative_number())
      ->capture_default_str();
  verb.add_flag("--json", options->json, "one JSON object instead of text");
}

}  // namespace

void add_eval(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("eval", "measure a model's quality");
  verb->require_subcommand(1);
  CLI::App* ppl = verb->add_subcommand("ppl", "perplexity of a text, comparable with llama.cpp's");
  auto options = std::make_shared<TextOptions>();
  add_text_options(*ppl, options);
  ppl->footer("Example: callie eval ppl smollm2-135m --file wikitext-2-test.txt --max-tokens 51200");
  ppl->final_callback([options, &action] { action = [options] { return eval_ppl(*options); }; });

  CLI::App* kl = verb->add_subcommand("kl", "divergence of the default precision from f32 on a text");
  auto kl_options = std::make_shared<TextOptions>();
  add_text_options(*kl, kl_options);
  kl->footer("Example: callie eval kl smollm2-135m --file wikitext-2-valid.txt");
  kl->final_callback([kl_options, &action] { action = [kl_options] { return eval_kl(*kl_options); }; });
}

}  // namespace callie::cli
