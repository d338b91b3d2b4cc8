#pragma once

#include <string>
#include <vector>

#include "assertions/ask/answerer.h"
#include "assertions/judge/judge.h"

namespace callie::assertions {

/// A solved task that is shown before the question.
struct Example {
  std::string request, answer;
};

/// Four solved snippets: a register with enable, an asynchronous reset, a case statement, combinational code.
std::vector<Example> built_in_examples();
/// The first tasks of a data set as examples.
Example example_of(const Task& task);

/// What a model is asked: VERT's instruction for the snippet; the set's own words where it has some.
std::string request_of(const Task& task);
/// System turn, the examples as earlier turns, and the request.
std::vector<ChatTurn> conversation(const Task& task, const std::vector<Example>& examples);
/// The judge's errors as a request to write the assertions again, at most 12 of them.
std::string repair_request(const AnswerJudgement& judgement);

}  // namespace callie::assertions
