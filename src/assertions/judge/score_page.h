#pragma once

#include <string>
#include <vector>

#include "assertions/judge/score.h"

namespace callie::assertions {

/// A self-contained HTML page: rates with intervals, verdicts and findings by class, and for each class up to
/// `examples` answers with the marked place, the code and the run that refutes them.
std::string score_page(const std::string& title, const std::vector<Task>& tasks, const std::vector<AnswerLine>& answers,
                       const std::vector<AnswerJudgement>& judged, int examples = 3);

}  // namespace callie::assertions
