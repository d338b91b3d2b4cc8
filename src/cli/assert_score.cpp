#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/assert_commands.h"
#include "cli/judged_answers.h"
#include "core/atomic_file.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  JudgedAnswersOptions judged;
  std::string out;
  bool json = false;
  uint64_t seed = 0;
};

void print_text(const ScoreSummary& summary) {
  std::printf("%d answers to %d snippets, %d assertions\n", summary.answers, summary.snippets, summary.assertions);
  const auto row = [](const std::string& name, const Estimate& e) {
    std::printf("  %-10s %5.1f %%   (%.1f to %.1f)\n", name.c_str(), 100 * e.mean, 100 * e.low, 100 * e.high);
  };
  for (const char* key : {"S1", "S2", "F1", "F2", "F3", "F3_partial", "F4", "F5", "accepted"}) {
    if (const auto it = summary.by_answer.find(key); it != summary.by_answer.end()) row(key, it->second);
  }
  for (const auto& [k, e] : summary.pass) row("pass@" + std::to_string(k), e);
  if (!summary.diagnostics.empty()) std::printf("answers with\n");
  for (const auto& [code, count] : summary.diagnostics) std::printf("  %-26s %d\n", code.c_str(), count);
}

Status run(const Options& options) {
  CALLIE_ASSIGN_OR_RETURN(const JudgedAnswers judged, judge_answers(options.judged, options.json));
  const ScoreSummary summary = summarize(judged.judgements, options.seed);
  if (!options.json && options.out.empty()) {
    print_text(summary);
    return ok_status();
  }
  Json out;
  out["summary"] = to_json(summary);
  out["answers"] = Json::array();
  for (const AnswerJudgement& answer : judged.judgements) out["answers"].push_back(to_json(answer));
  const std::string text = out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (!options.out.empty()) {
    CALLIE_RETURN_IF_ERROR(write_text_file(options.out, text));
  }
  if (options.json) std::fputs(text.c_str(), stdout);
  else print_text(summary);
  return ok_status();
}

}  // namespace

void add_assert_score(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("score", "Judge assertions that a model wrote");
  options->judged.add_to(*command);
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("-o,--output", options->out, "Write the JSON there too");
  command->add_option("--seed", options->seed, "Of the bootstrap intervals")->capture_default_str();
  command->footer("Example: callie assert score --reference test.jsonl --answers answers.jsonl --json");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
