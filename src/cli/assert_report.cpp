#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "assertions/judge/score_page.h"
#include "cli/assert_commands.h"
#include "cli/judged_answers.h"
#include "core/atomic_file.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  JudgedAnswersOptions judged;
  std::string out, title = "Assertions of a model";
  int examples = 3;
};

Status run(const Options& options) {
  CALLIE_ASSIGN_OR_RETURN(const JudgedAnswers judged, judge_answers(options.judged, false));
  return write_text_file(options.out, score_page(options.title, judged.tasks, judged.answers, judged.judgements, options.examples));
}

}  // namespace

void add_assert_report(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("report", "Judge answers and write an HTML page about them");
  options->judged.add_to(*command);
  command->add_option("-o,--output", options->out, "The page")->required();
  command->add_option("--title", options->title, "Its title")->capture_default_str();
  command->add_option("--examples", options->examples, "Answers shown for each class")->check(CLI::Range(0, 100))->capture_default_str();
  command->footer("Example: callie assert report --reference test.jsonl --answers answers.jsonl -o report.html");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
