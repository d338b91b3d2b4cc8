#include <gtest/gtest.h>

#include "assertions/prove/prove.h"

/// Corners of the standard that random properties beside an evaluator of annex F (bench/assertions/fuzz_properties.py)
/// once showed to be wrong.
namespace callie::assertions {
namespace {

std::string verdict_of(const std::string& module, const std::string& property) {
  const auto report = prove_text("t.sv", module + "\n  x: assert property (@(posedge clk) " + property + ");\nendmodule\n");
  if (!report.ok()) return report.status().message();
  return std::string(name(report->assertions.at(0).verdict)) + (report->assertions[0].reason.empty() ? "" : ": " + report->assertions[0].reason);
}

constexpr const char* kFree = "module m(input logic clk, a, b, c, d);";

// IEEE 1800-2017, 16.9.3: before the first clock $past is made of the default sampled values, which are the initializers.
TEST(Semantics, PastBeforeTheFirstClock) {
  const std::string kept = "module m(input logic clk, r, output logic p = 0); always_ff @(posedge clk) if (r) p <= 0; else p <= p;";
  EXPECT_EQ(verdict_of(kept, "!$past(p)"), "proven");
  EXPECT_EQ(verdict_of(kept, "!$past(p, 2)"), "proven");
  EXPECT_EQ(verdict_of(kept, "!$past(p, 3)"), "proven");
  EXPECT_EQ(verdict_of(kept, "!$past(p, 1, r)"), "proven");
  EXPECT_EQ(verdict_of(kept, "!$past(p, 2, r)"), "proven");
  const std::string async = "module m(input logic clk, r, output logic q = 1); always_ff @(posedge clk or negedge r) if (!r) q <= 0; else q <= 0;";
  EXPECT_EQ(verdict_of(async, "disable iff (!r) !$rose(q)"), "proven");
  EXPECT_EQ(verdict_of(async, "!$rose(q)"), "proven");
  EXPECT_EQ(verdict_of(async, "!$fell(q)"), "refuted");
}

// One value for each variable, whatever expressions ask.
TEST(Semantics, PastBeforeTheFirstClockIsOneState) {
  EXPECT_EQ(verdict_of(kFree, "$past(a && b) |-> $past(a)"), "proven");
  EXPECT_EQ(verdict_of(kFree, "$past(a ^ b) == ($past(a) ^ $past(b))"), "proven");
  EXPECT_EQ(verdict_of(kFree, "$past(a, 2) |-> $past(a || b, 2)"), "proven");
  EXPECT_EQ(verdict_of(kFree, "$rose(a && b) |-> $rose(a) || $rose(b)"), "proven");
  EXPECT_EQ(verdict_of(kFree, "$past(a) == $past(a, 2)"), "refuted");
  const std::string comb = "module m(input logic clk, input logic [3:0] v, output logic [3:0] y); assign y = ~v;";
  EXPECT_EQ(verdict_of(comb, "$past(y) == ~$past(v)"), "proven");
  EXPECT_EQ(verdict_of(comb, "$stable(y) == $stable(v)"), "proven");
  EXPECT_EQ(verdict_of(comb, "$past(y) == $past(v)"), "refuted");
  EXPECT_EQ(verdict_of(comb, "$past(y, 1, v[0]) == ~$past(v, 1, v[0])"), "proven");
}

// Sequences that may match nothing: `and` needs its longer side, `within` is content with an empty inner match.
TEST(Semantics, EmptyMatches) {
  EXPECT_EQ(verdict_of(kFree, "a |-> a and b[*0:2]"), "proven");
  EXPECT_EQ(verdict_of(kFree, "a |-> a and b[*1:2]"), "refuted");
  EXPECT_EQ(verdict_of(kFree, "a |-> b[*0] within a"), "proven");
  EXPECT_EQ(verdict_of(kFree, "a |-> b[*0:1] within a"), "proven");
  EXPECT_EQ(verdict_of(kFree, "a ##1 b |-> c[*0:1] ##0 d or 1'b1"), "proven");
  EXPECT_EQ(verdict_of(kFree, "first_match((a && !a)[*0:1]) within b |-> b"), "proven");
}

// What first_match leaves out must be a match for certain, not one that later cycles may still bring.
TEST(Semantics, FirstMatchOfWhatIsNotYetKnown) {
  const std::string late = "module m(input logic clk, output logic q = 0, p = 0); always_ff @(posedge clk) begin q <= 1; p <= q; end";
  EXPECT_EQ(verdict_of(late, "!q |-> first_match(##[1:2] p) intersect ##2 p"), "proven");
  EXPECT_EQ(verdict_of(late, "!q |-> first_match(##[1:2] q) intersect ##2 p"), "refuted");
}

// IEEE 1800-2017, 11.4.12.1: a replication by 0 is nothing, beside at least one part that is something.
TEST(Semantics, ReplicationByZero) {
  const std::string some = "module m #(parameter N = 0) (input logic clk, input logic [3:0] a);";
  EXPECT_EQ(verdict_of(some, "{a[3:2], {N{1'b1}}, a[1:0]} == a"), "proven");
  EXPECT_EQ(verdict_of(some, "$bits({{N{a}}, a}) == 4"), "proven");
  EXPECT_NE(verdict_of(some, "{N{a}} == 0").find("replication"), std::string::npos);
  EXPECT_NE(verdict_of(some, "{{N{a}}} == 0").find("concatenation"), std::string::npos);
}

}  // namespace
}  // namespace callie::assertions
