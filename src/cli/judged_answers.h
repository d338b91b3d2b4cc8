#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "assertions/judge/score.h"

namespace callie::cli {

/// What `assert score` and `assert report` judge.
struct JudgedAnswersOptions {
  std::string reference, mined, answers;
  int threads = 0;
  assertions::JudgeOptions judge;

  void add_to(CLI::App& command);
};

struct JudgedAnswers {
  std::vector<assertions::Task> tasks;
  std::vector<assertions::AnswerLine> answers;
  std::vector<assertions::AnswerJudgement> judgements;
};

/// Reads the references and answers and judges them; without answers the references' own assertions. Shows progress
/// unless `quiet`. Errors: those of the files, which name file and line; kCancelled.
StatusOr<JudgedAnswers> judge_answers(const JudgedAnswersOptions& options, bool quiet);

}  // namespace callie::cli
