#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/judge/score_page.h"
#include "cli/assert_commands.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/progress.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  std::string reference, mined, answers, out, title = "Assertions of a model";
  int threads = 0, examples = 3;
  JudgeOptions judge;
};

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
  Progress progress("judging", static_cast<int64_t>(answers.size()), "answers");
  StatusOr<std::vector<AnswerJudgement>> judged =
      judge_all(tasks, answers, options.judge, pool, [&](int64_t done) { progress.update(done); });
  if (!judged.ok()) {
    if (judged.status().code() == StatusCode::kCancelled) return judged.status();
    return data_loss("{}:{}", options.answers, judged.status().message());
  }
  progress.finish();
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(options.out));
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(score_page(options.title, tasks, answers, *judged, options.examples))));
  return file.commit();
}

}  // namespace

void add_assert_report(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("report", "Judge answers and write an HTML page about them");
  command->add_option("--reference", options->reference, "The data set, as for `score`")->required();
  command->add_option("--mined", options->mined, "AssertionBench's assertions of the designs");
  command->add_option("--answers", options->answers, "The answers; without them the references' own assertions");
  command->add_option("-o,--output", options->out, "The page")->required();
  command->add_option("--title", options->title, "Its title")->capture_default_str();
  command->add_option("--examples", options->examples, "Answers shown for each class")->check(CLI::Range(0, 100))->capture_default_str();
  command->add_option("--threads", options->threads, "Threads (default: one for each core)")->check(CLI::Range(1, 1024));
  command->add_option("--time-limit", options->judge.time_limit_s, "Seconds for each question to the prover")
      ->capture_default_str()->check(CLI::PositiveNumber);
  command->footer("Example: callie assert report --reference test.jsonl --answers answers.jsonl -o report.html");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
