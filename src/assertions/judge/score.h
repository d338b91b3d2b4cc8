#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "assertions/judge/judge.h"
#include "core/thread_pool.h"

namespace callie::assertions {

/// A mean and its 95 % bootstrap interval over snippets.
struct Estimate {
  double mean = 0, low = 0, high = 0;
};

/// Figures over all answers. Rates are shares of 1. A rate is first averaged over the samples of a snippet; intervals
/// come from drawing snippets again.
struct ScoreSummary {
  int snippets = 0, answers = 0, assertions = 0;
  std::map<std::string, Estimate> by_answer;     ///< S1, S2, F1, F2, F3 (full), F3_partial, F4, F5, accepted
  std::map<std::string, double> by_assertion;    ///< S1, S2, F1, F2, F3, accepted
  std::map<int, Estimate> pass;                  ///< pass@k by k, unbiased, of accepted answers
  std::map<std::string, int> diagnostics;        ///< answers in which a code stands, by code
  std::map<std::string, int> verdicts;           ///< assertions by verdict
  std::map<std::string, int> relations;          ///< assertions by relation
};

/// Unbiased estimate of the chance that one of k samples passes, from c passes among n >= k samples (Chen et al. 2021,
/// arXiv 2107.03374).
double pass_at_k(int n, int c, int k);

ScoreSummary summarize(const std::vector<AnswerJudgement>& answers, uint64_t seed = 0);

/// Judges answers against tasks on all threads of `pool`, in the order of `answers`. `progress` gets the count done.
/// Errors: an answer without a task ("LINE: ..."); kCancelled.
StatusOr<std::vector<AnswerJudgement>> judge_all(const std::vector<Task>& tasks, const std::vector<AnswerLine>& answers,
                                                 const JudgeOptions& options, ThreadPool& pool,
                                                 const std::function<void(int64_t)>& progress);

Json to_json(const Diagnostic& diagnostic);
Json to_json(const AnswerJudgement& answer);
Json to_json(const ScoreSummary& summary);

}  // namespace callie::assertions
