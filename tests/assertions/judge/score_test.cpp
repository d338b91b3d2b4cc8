#include "assertions/judge/score.h"

#include <gtest/gtest.h>

#include "assertions/ask/ask.h"
#include "assertions/judge/score_page.h"

namespace callie::assertions {
namespace {

const char* kModule = "module m(input logic clk, en, input logic [3:0] d, output logic [3:0] q); "
                      "always_ff @(posedge clk) if (en) q <= d; endmodule";
const char* kRight = "p: assert property (@(posedge clk) en |=> q == $past(d)); z: assert property (@(posedge clk) !en |=> $stable(q));";

Task task(const std::string& id) {
  Task out;
  out.id = id;
  out.module = kModule;
  out.code = "if (en) q <= d;";
  out.synchronous = true;
  out.clock_text = "posedge clk";
  out.assertion = kRight;
  return out;
}

TEST(Score, PassAtKIsTheShareOfDrawsThatHoldAPass) {
  // All draws of k of n, counted.
  for (int n = 1; n <= 8; ++n) {
    for (int c = 0; c <= n; ++c) {
      for (int k = 1; k <= n; ++k) {
        int draws = 0, passes = 0;
        for (unsigned set = 0; set < 1u << n; ++set) {
          if (__builtin_popcount(set) != k) continue;
          ++draws;
          passes += (set & ((1u << c) - 1)) != 0;
        }
        EXPECT_NEAR(pass_at_k(n, c, k), static_cast<double>(passes) / draws, 1e-12);
      }
    }
  }
}

TEST(Score, ReferencesScoreFully) {
  const std::vector<Task> tasks{task("a"), task("b")};
  const std::vector<AnswerLine> answers{{"a", 0, kRight, 1}, {"b", 0, kRight, 2}};
  ThreadPool pool(2);
  const auto judged = judge_all(tasks, answers, {}, pool, {});
  ASSERT_TRUE(judged.ok());
  const ScoreSummary summary = summarize(*judged);
  for (const char* key : {"S1", "S2", "F1", "F2", "F3", "F5", "accepted"}) EXPECT_EQ(summary.by_answer.at(key).mean, 1) << key;
  EXPECT_EQ(summary.pass.at(1).mean, 1);
  const Json json = to_json(summary);
  EXPECT_EQ(json["F1"], 1.0);
  EXPECT_TRUE(json["F4"].is_null());
  const Json answer = to_json((*judged)[0]);
  EXPECT_EQ(answer["accepted"], true);
  EXPECT_EQ(answer["assertions"][0]["relation"], "weaker");
  EXPECT_EQ(answer["relation"], "full");
}

TEST(Score, ResultsDoNotDependOnThreads) {
  std::vector<Task> tasks;
  std::vector<AnswerLine> answers;
  for (int i = 0; i < 12; ++i) {
    tasks.push_back(task(std::to_string(i)));
    answers.push_back({std::to_string(i), 0, i % 3 ? kRight : "x: assert property (@(posedge clk) en |-> q == d);", i + 1});
  }
  std::string first;
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    const auto judged = judge_all(tasks, answers, {}, pool, {});
    ASSERT_TRUE(judged.ok());
    std::string text = to_json(summarize(*judged, 7)).dump();
    for (const AnswerJudgement& a : *judged) text += to_json(a).dump();
    if (first.empty()) first = text;
    EXPECT_EQ(text, first);
  }
}

TEST(Score, AnswersNeedReferences) {
  ThreadPool pool(1);
  const auto judged = judge_all({task("a")}, {{"b", 0, kRight, 7}}, {}, pool, {});
  ASSERT_FALSE(judged.ok());
  EXPECT_EQ(judged.status().message(), "7: no reference has the id 'b'");
}

TEST(Score, PageShowsTheMarkedPlaceAndTheRun) {
  const std::vector<Task> tasks{task("a")};
  const std::vector<AnswerLine> answers{{"a", 0, "x: assert property (@(posedge clk) en |-> q == d);", 1}};
  ThreadPool pool(1);
  const auto judged = judge_all(tasks, answers, {}, pool, {});
  ASSERT_TRUE(judged.ok());
  const std::string page = score_page("t", tasks, answers, *judged);
  EXPECT_NE(page.find("<mark>|-&gt;</mark>"), std::string::npos);
  EXPECT_NE(page.find("a run that refutes the assertion"), std::string::npos);
  EXPECT_EQ(page.find("src="), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
}

/// Answers wrongly first, and rightly once it is told that |-> was wrong.
class Learner : public Answerer {
 public:
  StatusOr<std::string> answer(const std::vector<ChatTurn>& turns, uint64_t) override {
    const std::string& last = turns.back().text;
    return std::string(last.find("[overlap-on-register]") == std::string::npos
                           ? "x: assert property (@(posedge clk) en |-> q == d);"
                           : "x: assert property (@(posedge clk) en |=> q == $past(d));");
  }
  int concurrency() const override { return 2; }
};

TEST(Ask, RepairRoundsFeedFindingsBackAndRunsResume) {
  Learner model;
  AskOptions options;
  options.repair_rounds = 2;
  options.samples = 2;
  std::vector<Asked> asked;
  const auto take = [&](const Asked& one) {
    asked.push_back(one);
    return ok_status();
  };
  ASSERT_TRUE(ask_all({task("a"), task("b")}, {{"a", 0}}, options, model, take).ok());
  ASSERT_EQ(asked.size(), 3u);
  for (const Asked& one : asked) {
    ASSERT_EQ(one.earlier.size(), 1u);
    EXPECT_NE(one.earlier[0].find("|->"), std::string::npos);
    EXPECT_NE(one.answer.text.find("|=>"), std::string::npos);
  }
}

// What is shown to models must itself be right.
TEST(Ask, BuiltInExamplesAreAccepted) {
  const std::string modules[] = {
      "module m(input logic clk, load, step, input logic [3:0] start, output logic [3:0] count); always_ff @(posedge clk) "
      "if (load) begin count <= start; end else if (step) begin count <= count + 4'd1; end endmodule",
      "module m(input logic clk, input logic [1:0] mode, input logic [7:0] left, right, output logic [7:0] out); always_ff @(posedge clk) "
      "case (mode) 2'd0: out <= left; 2'd1: out <= right; default: out <= 8'd0; endcase endmodule",
      "module m(input logic sel, a, b, output logic y); always_comb if (sel) begin y = a; end else begin y = b; end endmodule",
      "module m(input logic clk, rst_n, start, output logic busy); always_ff @(posedge clk or negedge rst_n) "
      "if (!rst_n) busy <= 1'b0; else if (start) busy <= 1'b1; endmodule"};
  const std::vector<Example> examples = built_in_examples();
  for (size_t i = 0; i < examples.size(); ++i) {
    Task one;
    one.module = modules[i];
    const AnswerJudgement judgement = Judge(one, {}).judge(examples[i].answer);
    EXPECT_TRUE(judgement.accepted) << i << to_json(judgement).dump();
  }
}

}  // namespace
}  // namespace callie::assertions
