#pragma once

#include <functional>
#include <set>
#include <utility>

#include "assertions/ask/prompt.h"

namespace callie::assertions {

struct AskOptions {
  int samples = 1;          ///< answers to each task
  int repair_rounds = 0;    ///< times that the judge's findings are sent back
  uint64_t seed = 0;
  std::vector<Example> examples;
  double time_limit_s = 5;  ///< of the judge, for each question to the prover
};

/// One finished answer, and those that were sent back before it, the first one first.
struct Asked {
  AnswerLine answer;
  std::vector<std::string> earlier;
};

/// Asks for every (task, sample) that is not in `done`, on as many threads as the model allows. `take` gets the answers
/// one at a time, in the order in which they are ready. Errors: those of the model, after the answers so far were given
/// to `take`; kCancelled.
Status ask_all(const std::vector<Task>& tasks, const std::set<std::pair<std::string, int>>& done, const AskOptions& options,
               Answerer& model, const std::function<Status(const Asked&)>& take);

}  // namespace callie::assertions
