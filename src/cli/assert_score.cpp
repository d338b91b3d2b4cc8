#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/judge/score.h"
#include "cli/assert_commands.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/progress.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  std::string reference, mined, answers, out;
  bool json = false;
  int threads = 0;
  uint64_t seed = 0;
  JudgeOptions judge;
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
  install_interrupt_handler();
  CALLIE_ASSIGN_OR_RETURN(std::vector<Task> tasks, read_tasks(options.reference));
  if (!options.mined.empty()) CALLIE_RETURN_IF_ERROR(add_mined_assertions(options.mined, tasks));
  std::vector<AnswerLine> answers;
  if (options.answers.empty()) {
    for (const Task& task : tasks) answers.push_back({task.id, 0, task.assertion, task.line});
  } else {
    CALLIE_ASSIGN_OR_RETURN(answers, read_answers(options.answers));
  }
  ThreadPool pool(options.threads > 0 ? options.threads : ThreadPool::physical_cores());
  Progress progress("judging", static_cast<int64_t>(answers.size()), "answers", 1, options.json);
  StatusOr<std::vector<AnswerJudgement>> judged =
      judge_all(tasks, answers, options.judge, pool, [&](int64_t done) { progress.update(done); });
  if (!judged.ok()) {
    if (judged.status().code() == StatusCode::kCancelled) return judged.status();
    return data_loss("{}:{}", options.answers, judged.status().message());
  }
  progress.finish();
  const ScoreSummary summary = summarize(*judged, options.seed);
  if (!options.json && options.out.empty()) {
    print_text(summary);
    return ok_status();
  }
  Json out;
  out["summary"] = to_json(summary);
  out["answers"] = Json::array();
  for (const AnswerJudgement& answer : *judged) out["answers"].push_back(to_json(answer));
  const std::string text = out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (!options.out.empty()) {
    CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(options.out));
    CALLIE_RETURN_IF_ERROR(file.write(text));
    CALLIE_RETURN_IF_ERROR(file.commit());
  }
  if (options.json) std::fputs(text.c_str(), stdout);
  else print_text(summary);
  return ok_status();
}

}  // namespace

void add_assert_score(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("score", "Judge assertions that a model wrote");
  command->add_option("--reference", options->reference,
                      "The data set: JSON lines of `generate`, VERT's, FVEval's CSV, VerilogEval's, AssertionBench's designs")->required();
  command->add_option("--mined", options->mined, "AssertionBench's assertions of the designs");
  command->add_option("--answers", options->answers,
                      R"(JSON lines {"id", "sample", "Assertion"}; without it the references' own assertions are judged)");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("-o,--output", options->out, "Write the JSON there too");
  command->add_option("--threads", options->threads, "Threads (default: one for each core)")->check(CLI::Range(1, 1024));
  command->add_option("--seed", options->seed, "Of the bootstrap intervals")->capture_default_str();
  command->add_option("--time-limit", options->judge.time_limit_s, "Seconds for each question to the prover")
      ->capture_default_str()->check(CLI::PositiveNumber);
  command->footer("Example: callie assert score --reference test.jsonl --answers answers.jsonl --json");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
