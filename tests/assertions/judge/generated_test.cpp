#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "assertions/dataset/task.h"
#include "assertions/generate/generate.h"
#include "assertions/judge/score.h"
#include "core/atomic_file.h"
#include "core/json.h"

/// The judge on what the generator made: the references are accepted whole, and no wrong variant of an assertion is proven.
namespace callie::assertions {
namespace {

class Generated : public testing::TestWithParam<bool> {};

TEST_P(Generated, ReferencesAreAcceptedAndEveryKindOfMutantScoresZero) {
  const std::string path = testing::TempDir() + (GetParam() ? "judged_vert.jsonl" : "judged_full.jsonl");
  std::filesystem::remove(path);
  GenerateOptions options;
  options.count = 24;
  options.seed = 11;
  options.threads = 2;
  options.vert_compat = GetParam();
  options.output = path;
  ASSERT_TRUE(generate(options, [](int64_t) {}).ok());
  const auto tasks = read_tasks(path);
  ASSERT_TRUE(tasks.ok()) << tasks.status().message();
  std::vector<AnswerLine> references, wrong;
  std::map<std::string, std::vector<size_t>> by_kind;
  for (const Task& task : *tasks) references.push_back({task.id, 0, task.assertion, 0});
  const auto text = read_text_file(path);
  ASSERT_TRUE(text.ok());
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const Json pair = Json::parse(line);
    for (const Json& mutant : pair["mutants"]) {
      const std::string kind = mutant["kind"];
      if (!kind.starts_with("assertion:") || mutant["verdict"] != "refuted" || by_kind[kind].size() >= 15) continue;
      by_kind[kind].push_back(wrong.size());
      wrong.push_back({pair["id"], static_cast<int>(wrong.size()), mutant["text"], 0});
    }
  }
  ThreadPool pool(2);
  const auto right = judge_all(*tasks, references, {}, pool, {});
  ASSERT_TRUE(right.ok()) << right.status().message();
  const ScoreSummary summary = summarize(*right);
  for (const char* key : {"S1", "S2", "F1", "F2", "F3", "F5", "accepted"}) EXPECT_EQ(summary.by_answer.at(key).mean, 1) << key;
  const auto judged = judge_all(*tasks, wrong, {}, pool, {});
  ASSERT_TRUE(judged.ok()) << judged.status().message();
  EXPECT_GE(by_kind.size(), GetParam() ? 6u : 7u);
  for (const auto& [kind, answers] : by_kind) {
    for (size_t i : answers) {
      EXPECT_FALSE((*judged)[i].accepted) << kind << ": " << wrong[i].text;
      for (const AssertionJudgement& one : (*judged)[i].assertions) EXPECT_FALSE(one.proven) << kind << ": " << wrong[i].text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, Generated, testing::Values(false, true), [](const auto& info) { return info.param ? "VertCompat" : "Full"; });

}  // namespace
}  // namespace callie::assertions
