#include "assertions/dataset/task.h"

#include <gtest/gtest.h>

#include "assertions/judge/judge.h"

namespace callie::assertions {
namespace {

TEST(Task, ErrorsNameFileAndLine) {
  const auto message = [](std::string_view text) { return parse_tasks("f.jsonl", text).status().message(); };
  const std::string good = R"({"id": "1", "module": "module m; endmodule", "Assertion": ""})";
  EXPECT_EQ(message(good + "\n\n{\"id\": 2"), "f.jsonl:3: not a JSON object");
  EXPECT_EQ(message(good + "\n" + good), "f.jsonl:2: id '1' is repeated (first on line 1)");
  EXPECT_EQ(message(R"({"id": "1", "Assertion": "x"})"), "f.jsonl:1: 'module' is missing");
  EXPECT_EQ(message(R"({"id": "1", "module": "m"})"), "f.jsonl:1: 'Assertion' is missing");
  EXPECT_EQ(message(R"({"id": 1, "module": "m", "Assertion": ""})"), "f.jsonl:1: 'id' is not text");
  EXPECT_EQ(message("[{\"Code\": \"a = b;\", \"Assertion\": \"x\"},\n {\"Code\": 3}]"), "f.jsonl:2: 'Code' is not text");
  EXPECT_EQ(message("[{\"Code\": \"a = b;\"},"), "f.jsonl:1: the JSON array has no end");
  EXPECT_EQ(parse_answers("a.jsonl", "{\"id\": \"1\", \"Assertion\": \"x\"}\n{\"id\": \"1\"}").status().message(),
            "a.jsonl:2: 'Assertion' is missing");
  EXPECT_EQ(parse_answers("a.jsonl", R"({"id": "1", "Assertion": "x", "sample": -1})").status().message(),
            "a.jsonl:1: 'sample' is not a whole number");
}

TEST(Task, ColumnsHaveDifferentNames) {
  const auto tasks = parse_tasks("t.csv", "prompt,prompt,design_name,task_id,testbench\na,b,c,d\n");
  ASSERT_FALSE(tasks.ok());
  EXPECT_EQ(tasks.status().message(), "t.csv:1: two columns 'prompt'");
}

TEST(Task, ReadsPublishedRecords) {
  const auto tasks = parse_tasks("v.json", R"([{"Code": "if (a) begin\n  x <= y\n  z <= w;\nend", "Assertion": "p", "Synchronous": "True", "Clock": "negedge k"},
   {"Code": "case (s)\n 3'b01x: x = y;\n default: x = z;\nendcase", "Assertion": "p", "Synchronous": "False"}])");
  ASSERT_TRUE(tasks.ok()) << tasks.status().message();
  ASSERT_EQ(tasks->size(), 2u);
  EXPECT_EQ((*tasks)[0].id, "vert-1");
  EXPECT_NE((*tasks)[0].module.find("always_ff @(negedge k)"), std::string::npos);
  EXPECT_NE((*tasks)[0].module.find("input logic [3:0] a, input logic [3:0] w, output logic [3:0] x"), std::string::npos) << (*tasks)[0].module;
  EXPECT_NE((*tasks)[1].module.find("input logic [2:0] s"), std::string::npos) << (*tasks)[1].module;
  EXPECT_NE((*tasks)[1].module.find("always_comb"), std::string::npos);
  // The missing ';' is diagnosed, and what else stands there is judged all the same.
  const AnswerJudgement j = Judge((*tasks)[0], {}).judge("q1: assert property (@(negedge k) a |=> x == $past(y));");
  EXPECT_EQ(j.assertions[0].verdict, "proven");
  ASSERT_EQ(j.diagnostics.size(), 1u);
  EXPECT_EQ(j.diagnostics[0].code, code::kMissingSemicolon);
  EXPECT_FALSE(j.accepted);
}

TEST(Task, ReadsTheFormatsOfOtherSets) {
  const auto fveval = parse_tasks("f.csv",
                                  "design_name,task_id,prompt,ref_solution,testbench\r\n"
                                  "counter,counter_0,\"that it, \"\"really\"\", holds\",\"asrt: assert property (@(posedge clk) disable iff (tb_reset)\n"
                                  "  (en && q !== 1'b1) !== 1'b1\n);\",\"module counter_tb (clk, reset_, en, q);\ninput clk; input reset_; input en; input q;\n"
                                  "wire tb_reset;\nassign tb_reset = (reset_ == 1'b0);\nendmodule\"\n");
  ASSERT_TRUE(fveval.ok()) << fveval.status().message();
  EXPECT_EQ((*fveval)[0].id, "counter/counter_0");
  EXPECT_EQ((*fveval)[0].request, "that it, \"really\", holds");
  EXPECT_EQ(Judge((*fveval)[0], {}).judge("a1: assert property (@(posedge clk) disable iff (tb_reset) en |-> q);").assertions[0].relation, Relation::kFull);
  EXPECT_EQ(parse_tasks("f.csv", "design_name,task_id,prompt,testbench\na,b\n").status().message(), "f.csv:2: 2 cells where the header has 4");
  EXPECT_EQ(parse_tasks("f.csv", "a,b\n").status().message(), "f.csv:1: no column 'design_name'");

  const auto verilog_eval = parse_tasks("v.jsonl", R"({"task_id": "inv", "prompt": "module top_module(input a, output y);\n", "canonical_solution": "assign y = ~a;\nendmodule\n", "test": "x"})");
  ASSERT_TRUE(verilog_eval.ok()) << verilog_eval.status().message();
  EXPECT_TRUE(Judge((*verilog_eval)[0], {}).judge("always_comb n1: assert (y == !a);").accepted);

  auto bench = parse_tasks("d.json", R"([{"file_name": "ff.v", "verilog_design": "`timescale 1ns/1ps module ff(input clk, input d, output reg q); always @(posedge clk) q <= d; endmodule"}])");
  ASSERT_TRUE(bench.ok()) << bench.status().message();
  EXPECT_EQ((*bench)[0].id, "ff");
  EXPECT_TRUE(Judge((*bench)[0], {}).judge("assert property (@(posedge clk) (d == 1) |=> (q == 1));").accepted);
}

}  // namespace
}  // namespace callie::assertions
