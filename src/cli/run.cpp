#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "cli/chat_loop.h"
#include "cli/constraint_options.h"
#include "cli/draft_options.h"
#include "cli/model_options.h"
#include "cli/prompt.h"
#include "cli/verbs.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "decode/generate.h"
#include "decode/speculative/strategy.h"

namespace callie::cli {
namespace {

struct RunOptions {
  ModelOptions model;
  ContextOptions context;
  SamplingFlags sampling;
  DraftOptions draft;
  PromptOptions input;
  ConstraintOptions constraint;
  bool raw = false, json = false, ignore_eos = false;
};

// Tokens of a pass of the target, the bonus token included; 0 before the first pass.
double acceptance_length(const decode::Generation& result, const decode::Strategy::Counts& counts) {
  return counts.passes > 0 ? static_cast<double>(result.token_ids.size() - 1) / static_cast<double>(counts.passes) : 0.0;
}

std::string summary(const decode::Generation& result, const Model& model, const decode::Strategy& strategy) {
  const decode::Strategy::Counts counts = strategy.counts();
  const std::string drafts =
      counts.drafted > 0 ? fmt::format(", {} of {} drafted tokens accepted, {:.2f} tokens a pass", counts.accepted,
                                       counts.drafted, acceptance_length(result, counts))
                         : std::string();
  return fmt::format("[{} prompt tokens {:.0f} tok/s, {} tokens {:.1f} tok/s{}, loaded in {:.2f} s]",
                     result.prompt_tokens, result.prompt_tok_s(), result.token_ids.size(), result.decode_tok_s(), drafts,
                     model.load_s());
}

void print_json(const decode::Generation& result, const Model& model, const decode::Strategy& strategy,
                const decode::LogitsHash& hash) {
  const decode::Strategy::Counts counts = strategy.counts();
  Json out;
  out["text"] = result.text;
  out["token_ids"] = result.token_ids;
  out["prompt_tokens"] = result.prompt_tokens;
  out["completion_tokens"] = result.token_ids.size();
  out["finish_reason"] = decode::finish_reason_name(result.finish_reason);
  out["prompt_tok_s"] = result.prompt_tok_s();
  out["decode_tok_s"] = result.decode_tok_s();
  out["load_s"] = model.load_s();
  out["logits_hash"] = fmt::format("{:016x}", hash.digest());
  out["mode"] = strategy.name();
  out["drafted"] = counts.drafted;
  out["accepted"] = counts.accepted;
  out["acceptance_length"] = acceptance_length(result, counts);
  std::cout << out.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

Status run(const RunOptions& options) {
  if (options.input.prompt.empty() && (options.json || options.raw)) {
    return error(StatusCode::kUsage, "run: --json and --raw need a prompt");
  }
  install_interrupt_handler();
  ThreadPool pool(options.model.thread_count());
  Context context{&pool};
  CALLIE_ASSIGN_OR_RETURN(const auto model, load_model(options.model, context));
  CALLIE_RETURN_IF_ERROR(options.sampling.sampling.validate(model->spec().vocab_size));
  CALLIE_ASSIGN_OR_RETURN(const SessionOptions session_options, options.context.session_options());
  CALLIE_ASSIGN_OR_RETURN(const auto session, Session::create(model, session_options, pool));
  decode::DraftModelOptions draft_options;
  draft_options.context = session->context();
  draft_options.kv_format = session_options.kv_format;
  CALLIE_ASSIGN_OR_RETURN(const auto speculator, options.draft.load(options.model, *model, draft_options, context));
  decode::GenerateOptions generate_options;
  generate_options.max_new = options.input.n;
  generate_options.stops = options.sampling.stops;
  generate_options.ignore_eos = options.ignore_eos;
  if (options.input.prompt.empty()) {
    return chat_loop(*session, speculator.get(), options.sampling.sampling, generate_options, options.input.system);
  }

  CALLIE_ASSIGN_OR_RETURN(auto constraint, options.constraint.load(model->tokenizer()));
  CALLIE_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, prompt_tokens(model->tokenizer(), options.input.prompt, options.input.system, options.raw));
  Sampler sampler(options.sampling.sampling, std::move(constraint.mask));
  decode::LogitsHash hash;
  const auto strategy = decode::make_strategy(*session, sampler, options.json ? &hash : nullptr, speculator.get());
  const auto print = [&](std::string_view text) {
    if (!options.json) {
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    }
    return true;
  };
  CALLIE_ASSIGN_OR_RETURN(const decode::Generation result,
                          decode::generate(*session, *strategy, prompt, generate_options, print));
  if (options.json) {
    print_json(result, *model, *strategy, hash);
  } else {
    std::printf("\n");
    std::fprintf(stderr, "%s\n", summary(result, *model, *strategy).c_str());
  }
  if (result.finish_reason == decode::FinishReason::kContext) {
    std::fprintf(stderr, "warning: stopped, the context of %ld tokens is full (--ctx)\n",
                 static_cast<long>(session->context()));
  }
  if (result.finish_reason == decode::FinishReason::kCancelled) return Status(StatusCode::kCancelled, "");
  return ok_status();
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  CLI::App* verb = app.add_subcommand("run", "generate text, or chat when there is no prompt");
  auto options = std::make_shared<RunOptions>();
  options->model.add_to(*verb);
  options->input.add_to(*verb);
  options->sampling.add_to(*verb);
  options->context.add_to(*verb);
  options->draft.add_to(*verb);
  verb->add_flag("--raw", options->raw, "give the prompt to the model as it is, without its chat template");
  verb->add_flag("--ignore-eos", options->ignore_eos, "go on after the model's own end");
  options->constraint.add_to(*verb);
  verb->add_flag("--json", options->json, "one JSON object instead of text");
  verb->footer("Example: callie run smollm2-135m \"Name three rivers.\" -n 64 --temp 0");
  verb->final_callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
