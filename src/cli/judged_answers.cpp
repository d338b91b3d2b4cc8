#include "cli/judged_answers.h"

#include "cli/number_checks.h"
#include "core/interrupt.h"
#include "core/progress.h"

namespace callie::cli {

using namespace assertions;

void JudgedAnswersOptions::add_to(CLI::App& command) {
  command.add_option("--reference", reference,
                     "The data set: JSON lines of `generate`, VERT's, FVEval's CSV, VerilogEval's, AssertionBench's designs")
      ->required();
  command.add_option("--mined", mined, "AssertionBench's assertions of the designs");
  command.add_option("--answers", answers,
                     R"(JSON lines {"id", "sample", "Assertion"}; without it the references' own assertions are judged)");
  command.add_option("--threads", threads, "Threads (default: one for each core)")->check(CLI::Range(1, 1024));
  command.add_option("--time-limit", judge.time_limit_s, "Seconds for each question to the prover")
      ->capture_default_str()->check(positive_number());
}

StatusOr<JudgedAnswers> judge_answers(const JudgedAnswersOptions& options, bool quiet) {
  install_interrupt_handler();
  JudgedAnswers out;
  CALLIE_ASSIGN_OR_RETURN(out.tasks, read_tasks(options.reference));
  if (!options.mined.empty()) CALLIE_RETURN_IF_ERROR(add_mined_assertions(options.mined, out.tasks));
  if (options.answers.empty()) {
    for (const Task& task : out.tasks) out.answers.push_back({task.id, 0, task.assertion, task.line});
  } else {
    CALLIE_ASSIGN_OR_RETURN(out.answers, read_answers(options.answers));
  }
  ThreadPool pool(options.threads > 0 ? options.threads : ThreadPool::physical_cores());
  Progress progress("judging", static_cast<int64_t>(out.answers.size()), "answers", 1, quiet);
  StatusOr<std::vector<AnswerJudgement>> judged =
      judge_all(out.tasks, out.answers, options.judge, pool, [&](int64_t done) { progress.update(done); });
  if (!judged.ok()) {
    if (judged.status().code() == StatusCode::kCancelled) return judged.status();
    return data_loss("{}:{}", options.answers, judged.status().message());
  }
  progress.finish();
  out.judgements = std::move(*judged);
  return out;
}

}  // namespace callie::cli
