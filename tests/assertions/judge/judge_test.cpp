#include "assertions/judge/judge.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace callie::assertions {
namespace {

const char* kRegister = R"(module m(input logic clk, en, clr, input logic [3:0] d, output logic [3:0] q, r);
  always_ff @(posedge clk) begin
    if (en) q <= d;
    if (clr) r <= 4'd0;
  end
endmodule
)";

const char* kCase = R"(module m(input logic clk, input logic [1:0] s, input logic [3:0] a, b, c, output logic [3:0] y);
  always_ff @(posedge clk)
    case (s)
      2'd0: y <= a;
      2'd1: y <= b;
      default: y <= c;
    endcase
endmodule
)";

AnswerJudgement judge(const std::string& module, const std::string& answer, const std::string& reference = "") {
  Task task;
  task.id = "t";
  task.module = module;
  task.assertion = reference;
  return Judge(task, {}).judge(answer);
}

const Diagnostic* find(const AnswerJudgement& answer, std::string_view code) {
  for (const Diagnostic& d : answer.diagnostics) {
    if (d.code == code) return &d;
  }
  for (const AssertionJudgement& a : answer.assertions) {
    for (const Diagnostic& d : a.diagnostics) {
      if (d.code == code) return &d;
    }
  }
  return nullptr;
}

std::string all(const AnswerJudgement& answer) {
  std::string out;
  for (const AssertionJudgement& a : answer.assertions) out += a.name + ":" + a.verdict + " ";
  for (const Diagnostic& d : answer.diagnostics) out += fmt::format("[{} {}:{} {}] ", d.code, d.line, d.column, d.message);
  for (const AssertionJudgement& a : answer.assertions) {
    for (const Diagnostic& d : a.diagnostics) out += fmt::format("[{} {}:{} {}] ", d.code, d.line, d.column, d.message);
  }
  return out;
}

TEST(Judge, AcceptsWhatIsRight) {
  for (const char* answer : {
           "p: assert property (@(posedge clk) en |=> q == $past(d));",
           "```systemverilog\np: assert property (@(posedge clk) en |=> q == $past(d));\n```\nThis checks the register.",
           "property p; @(posedge clk) en |=> q == $past(d); endproperty\np9: assert property (p);",
           "p9: assert property (p);\nproperty p; @(posedge clk) en |=> q == $past(d); endproperty",
           "default clocking @(posedge clk); endclocking\nassert property (en |=> q == $past(d));\nassert property (!en |=> $stable(q));",
           "logic was;\nalways_ff @(posedge clk) was <= en;\nassert property (@(posedge clk) 1 |=> was || $stable(q));\nassert property (@(posedge clk) was && 1 |-> was);"}) {
    const AnswerJudgement j = judge(kRegister, answer);
    if (std::string(answer).find("was") != std::string::npos) {  // helper logic of its own: only the tautology fails
      EXPECT_TRUE(j.assertions.size() == 2 && j.assertions[0].accepted && !j.assertions[1].accepted) << all(j);
      continue;
    }
    EXPECT_TRUE(j.accepted) << answer << "\n" << all(j);
  }
  const AnswerJudgement immediate = judge("module m(input a, b, output logic y); always_comb if (a) y = b; else y = 0; endmodule",
                                          "always_comb begin if (a) x: assert (y == b); else z: assert (y == 0); end");
  EXPECT_TRUE(immediate.accepted) << all(immediate);
  EXPECT_EQ(immediate.assertions.size(), 2u);
  const AnswerJudgement bare = judge("module m(input a, b, output logic y); always_comb if (a) y = b; else y = 0; endmodule",
                                     "if (a) assert (y == b);\nif (!a) assert (y == 0);");
  EXPECT_TRUE(bare.accepted) << all(bare);
}

TEST(Judge, AnUnknownNameEndsOnlyItsAssertion) {
  const AnswerJudgement j = judge(kRegister, "p: assert property (@(posedge clk) en |=> q == $past(d));\n"
                                             "z: assert property (@(posedge clk) enable |=> q == $past(d));\n"
                                             "w: assert property (@(posedge clk) !en |=> $stable(q));\n");
  ASSERT_EQ(j.assertions.size(), 3u);
  EXPECT_TRUE(j.assertions[0].accepted && j.assertions[2].accepted);
  EXPECT_EQ(j.assertions[1].verdict, "invalid");
  ASSERT_NE(find(j, code::kUnknownName), nullptr) << all(j);
  EXPECT_EQ(find(j, code::kUnknownName)->line, 2);
  EXPECT_EQ(find(j, code::kUnknownName)->column, 36);
  EXPECT_FALSE(j.accepted);
}

// Each class of defects of the published set: its own code, the place, and no acceptance.
TEST(Judge, PublishedDefects) {
  struct Case {
    std::string_view code;
    const char* module;
    const char* answer;
    int line, column;
  };
  const char* twice = R"(module m(input logic en, input logic [3:0] d, e, output logic [3:0] q, r);
  always_comb begin q = 0; r = d; if (en) begin q = r; r = e; end end
endmodule
)";
  const char* self = R"(module m(input logic clk, b, d, output logic a, c);
  always_ff @(posedge clk) begin
    if (a) begin a = b; c = d; end
    else c = 0;
  end
endmodule
)";
  const char* mixed = R"(module m(input logic clk, en, input logic [3:0] d, output logic [3:0] q, r);
  always_ff @(posedge clk) if (en) begin q <= d; r = d; end
endmodule
)";
  const Case cases[] = {
      {code::kMissingSemicolon, kRegister, "p: assert property (@(posedge clk) en |=> q == $past(d))\nz: assert property (@(posedge clk) !en |=> $stable(q));", 1, 57},
      {code::kMissingSemicolon, "module m(input clk, a, output logic q, r);\nalways_ff @(posedge clk) begin\n q <= a\n r <= a; end endmodule",
       "p: assert property (@(posedge clk) 1 |=> q == $past(a));", 3, 8},
      {code::kNameReuse, kRegister, "property name; @(posedge clk) en |=> q == $past(d); endproperty\nproperty name; @(posedge clk) !en |=> $stable(q); endproperty", 2, 10},
      {code::kNameReuse, kRegister, "q: assert property (@(posedge clk) en |=> q == $past(d));", 1, 1},
      {code::kClockInExpression, kCase, "p: assert property (s != 2'd0 && @(posedge clk) s != 2'd1 |=> y == $past(c));", 1, 34},
      {code::kOrJoinedDefault, kCase, "p: assert property (@(posedge clk) (s != 2'd0) || (s != 2'd1) |=> y == $past(c));", 1, 0},
      {code::kOrJoinedDefault, kCase, "p: assert property (@(posedge clk) !(s == 2'd0) || !(s == 2'd1) |-> y == c);", 1, 0},
      {code::kOverlapOnRegister, kRegister, "p: assert property (@(posedge clk) en |-> q == d);", 1, 39},
      {code::kXLiteral, kCase, "p: assert property (@(posedge clk) s == 2'b1x |=> y == $past(c));", 1, 41},
      {code::kSiblingAsNested, kRegister, "p: assert property (@(posedge clk) en |=> q == $past(d));\nz: assert property (@(posedge clk) en && clr |=> r == 4'd0);", 2, 36},
      {code::kOverwrittenSource, twice, "always_comb if (en) p: assert (q == r);", 1, 37},
      {code::kSelfAssignedCondition, self, "p: assert property (@(posedge clk) a |=> c == $past(d));", 1, 36},
      {code::kMixedAssignments, mixed, "p: assert property (@(posedge clk) en |=> q == $past(d));", 2, 0},
  };
  for (const Case& c : cases) {
    const AnswerJudgement j = judge(c.module, c.answer);
    EXPECT_FALSE(j.accepted) << c.answer;
    const Diagnostic* d = find(j, c.code);
    ASSERT_NE(d, nullptr) << c.code << "\n" << c.answer << "\n" << all(j);
    EXPECT_TRUE(d->is_error);
    EXPECT_EQ(d->line, c.line) << c.answer << all(j);
    if (c.column > 0) {
      EXPECT_EQ(d->column, c.column) << c.answer << all(j);
    }
    // A code belongs to its class alone.
    for (const Case& other : cases) {
      if (other.code == c.code) continue;
      EXPECT_EQ(find(j, other.code), nullptr) << c.code << " also gives " << other.code << "\n" << c.answer << "\n" << all(j);
    }
  }
}

TEST(Judge, TrivialAndVacuousNeverPass) {
  const char* trivial[] = {"assert property (@(posedge clk) 1);", "assert property (@(posedge clk) en |-> en);",
                           "assert property (@(posedge clk) q == q);", "assert property (@(posedge clk) en |-> (clr || !clr));"};
  for (const char* answer : trivial) {
    const AnswerJudgement j = judge(kRegister, answer);
    EXPECT_NE(find(j, code::kTriviallyTrue), nullptr) << answer << all(j);
    EXPECT_FALSE(j.accepted);
  }
  const AnswerJudgement unclocked = judge(kRegister, "assert property (1);");
  EXPECT_NE(find(unclocked, code::kTriviallyTrue), nullptr) << all(unclocked);
  EXPECT_NE(find(unclocked, code::kUnclocked), nullptr);
  for (const char* answer : {"assert property (@(posedge clk) 1'b0 |-> q == 3);", "assert property (@(posedge clk) en && !en |=> q == 3);"}) {
    const AnswerJudgement j = judge(kRegister, answer);
    EXPECT_NE(find(j, code::kVacuous), nullptr) << answer << all(j);
    EXPECT_FALSE(j.accepted);
  }
}

TEST(Judge, MoreDiagnostics) {
  struct Case {
    std::string_view code;
    const char* answer;
  };
  const Case cases[] = {
      {code::kNoAssertion, ""},
      {code::kNoAssertion, "I cannot help with that."},
      {code::kMissingPast, "assert property (@(posedge clk) en |=> q == d);"},
      {code::kWrongClockEdge, "assert property (@(negedge clk) en |=> q == $past(d));"},
      {code::kNotAsserted, "property p; @(posedge clk) en |=> q == $past(d); endproperty"},
      {code::kAssumption, "assume property (@(posedge clk) q == 0); p: assert property (@(posedge clk) q == 0);"},
      {code::kDrivesDesign, "assign q = 0; p: assert property (@(posedge clk) q == 0);"},
      {code::kUnbalanced, "p: assert property (@(posedge clk) (en)) |=> q == $past(d));"},
      {code::kUnclocked, "p: assert property (en |-> en || clr);"},
      {code::kUnsupported, "p: assert property (@(posedge clk) en |-> s_eventually q == 0);"},
      {code::kSyntax, "p: assert property (@(posedge clk) en |=> q = d);"},
      {code::kSyntax, "`include \"/etc/passwd\"\nassert property (@(posedge clk) en |=> q == $past(d));"},
      {code::kUnknownName, "p: assert property (@(posedge clock) en |=> q == $past(d));"},
  };
  for (const Case& c : cases) {
    const AnswerJudgement j = judge(kRegister, c.answer);
    EXPECT_FALSE(j.accepted) << c.answer;
    EXPECT_NE(find(j, c.code), nullptr) << c.code << "\n" << c.answer << "\n" << all(j);
  }
  const char* reset = R"(module m(input logic clk, rst_n, d, output logic q);
  always_ff @(posedge clk or negedge rst_n) if (!rst_n) q <= 0; else q <= d;
endmodule)";
  const AnswerJudgement j = judge(reset, "p: assert property (@(posedge clk) 1 |=> q == $past(d));");
  EXPECT_NE(find(j, code::kMissingReset), nullptr) << all(j);
  ASSERT_TRUE(j.assertions[0].witness.has_value());
}

TEST(Judge, ConditionsThatAreConstantlyFalseAreVacuous) {
  const AnswerJudgement j = judge("module m(input a, b, output logic y); assign y = a && b; endmodule",
                                  "always_comb if (!a && a) p: assert (y == b);\nalways_comb if (a) z: assert (y == b);");
  ASSERT_EQ(j.assertions.size(), 2u);
  EXPECT_EQ(j.assertions[0].verdict, "vacuous");
  EXPECT_NE(find(j, code::kVacuous), nullptr) << all(j);
  EXPECT_TRUE(j.assertions[1].accepted);
}

TEST(Judge, Relations) {
  const std::string reference = "r1: assert property (@(posedge clk) en |=> q == $past(d));";
  const std::pair<const char*, Relation> cases[] = {
      {"p: assert property (@(posedge clk) en |=> q == $past(d));", Relation::kFull},
      {"p: assert property (@(posedge clk) en |-> ##1 q == $past(d));", Relation::kFull},
      {"p: assert property (@(posedge clk) not (en ##1 q != $past(d)));", Relation::kFull},
      {"p: assert property (@(posedge clk) 1 |=> q == $past(d));", Relation::kStronger},
      {"p: assert property (@(posedge clk) en && clr |=> q == $past(d));", Relation::kWeaker},
      {"p: assert property (@(posedge clk) clr |=> r == 0);", Relation::kIncomparable},
      {"p: assert property (@(negedge clk) en |=> q == $past(d));", Relation::kIncomparable},
      {"p: assert property (@(posedge clk) 1);", Relation::kWeaker},
      {"p: assert property (@(posedge clk) en |=> q == $past(d) && q == 3);", Relation::kStronger},
  };
  for (const auto& [answer, relation] : cases) {
    const AnswerJudgement j = judge(kRegister, answer, reference);
    EXPECT_EQ(name(j.assertions[0].relation), name(relation)) << answer << "\n" << all(j);
  }
  // Against all of the reference's assertions together; an assertion that notices a cycle later is as strong.
  const AnswerJudgement one = judge(kRegister, reference, reference + " r2: assert property (@(posedge clk) clr |=> r == 0);");
  EXPECT_EQ(one.assertions[0].relation, Relation::kWeaker);
  EXPECT_NEAR(*one.implied, 0.5, 1e-9);
  const AnswerJudgement late = judge(kRegister, "p: assert property (@(posedge clk) ##1 $past(en) |=> $past(q) == $past(d, 2));", reference);
  EXPECT_NE(late.assertions[0].relation, Relation::kNone) << all(late);
}

TEST(Judge, WrongDesignsAreCaught) {
  Task task;
  task.module = kRegister;
  std::string wrong = kRegister;
  wrong.replace(wrong.find("q <= d"), 6, "q <= ~d");
  std::string other = kRegister;
  other.replace(other.find("4'd0"), 4, "4'd1");
  task.wrong_modules = {wrong, other};
  const AnswerJudgement j = Judge(task, {}).judge("p: assert property (@(posedge clk) en |=> q == $past(d));");
  EXPECT_NEAR(*j.kills, 0.5, 1e-9);
}

TEST(Judge, HoldsEveryPublishedShapeApart) {
  // The text of published records: every property is called `name` and none is asserted.
  const AnswerJudgement j = judge(kCase,
                                  "property name; @(posedge clk) ( s ) == ( 2'd0 ) |-> y == a ; endproperty \n"
                                  "property name; @(posedge clk) ( s ) == ( 2'd1 ) |-> y == b; endproperty \n"
                                  "property name; ( s != 2'd0 ) && @(posedge clk) ( s != 2'd1 ) |-> y == c; endproperty \n");
  ASSERT_EQ(j.assertions.size(), 3u) << all(j);
  EXPECT_EQ(j.assertions[0].verdict, "refuted");
  EXPECT_EQ(j.assertions[1].verdict, "refuted");
  EXPECT_EQ(j.assertions[2].verdict, "invalid");
  EXPECT_NE(find(j, code::kNameReuse), nullptr);
  EXPECT_NE(find(j, code::kOverlapOnRegister), nullptr);
  EXPECT_NE(find(j, code::kClockInExpression), nullptr);
}

}  // namespace
}  // namespace callie::assertions
