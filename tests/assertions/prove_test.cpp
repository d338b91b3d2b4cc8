#include "assertions/prove/prove.h"

#include <gtest/gtest.h>

namespace callie::assertions {
namespace {

std::string verdicts(const std::string& text) {
  auto report = prove_text("t.sv", text);
  if (!report.ok()) return report.status().message();
  std::string out;
  for (const AssertionResult& r : report->assertions) {
    out += (out.empty() ? "" : " ") + r.name + ":" + std::string(name(r.verdict));
    if (r.verdict == Verdict::kUndetermined) out += "(" + r.reason + ")";
  }
  return out;
}

TEST(Prove, ClockedRegister) {
  EXPECT_EQ(verdicts(R"(
module m(input logic clk, rst_n, en, input logic [7:0] d, output logic [7:0] q);
  always_ff @(posedge clk or negedge rst_n) if (!rst_n) q <= '0; else if (en) q <= d;
  a: assert property (@(posedge clk) disable iff (!rst_n) en |=> q == $past(d));
  b: assert property (@(posedge clk) disable iff (!rst_n) en |-> q == d);
  c: assert property (@(posedge clk) disable iff (!rst_n) !en |=> $stable(q));
  d1: assert property (@(posedge clk) !rst_n |-> q == 0);
  e: assert property (@(posedge clk) en |=> q == $past(d));
  f: assert property (@(posedge clk) disable iff (!rst_n) en && !en |=> q == 1);
  g: assert property (@(posedge clk) en |-> s_eventually q == 1);
endmodule)"),
            "a:proven b:refuted c:proven d1:proven e:refuted f:vacuous g:unsupported");
}

TEST(Prove, CounterNeedsReachability) {
  EXPECT_EQ(verdicts(R"(
module m(input logic clk, rst, output logic [7:0] n = 0);
  always_ff @(posedge clk) if (rst || n == 8'd99) n <= 0; else n <= n + 1;
  a: assert property (@(posedge clk) n < 100);
  b: assert property (@(posedge clk) n < 20);
  c: assert property (@(posedge clk) n != 8'd150);
  d: assert property (@(posedge clk) n == 200 |-> rst);
endmodule)"),
            "a:proven b:refuted c:proven d:vacuous");
}

TEST(Prove, SequencesAndWindows) {
  EXPECT_EQ(verdicts(R"(
module m(input logic clk, a, b, output logic p = 0, q = 0, r = 0);
  always_ff @(posedge clk) begin p <= a; q <= p; r <= q; end
  default clocking @(posedge clk); endclocking
  s1: assert property (a |-> ##1 p ##1 q ##1 r);
  s2: assert property (a ##1 b |-> ##[1:3] r);
  s3: assert property (a |-> ##[1:2] r);
  s4: assert property (a[*3] |=> p && q && r);
  s5: assert property (a |=> p until !p);
  s6: assert property (not (a ##1 !p));
  s7: assert property (a throughout b[*2] |=> q);
  s8: assert property ($rose(p) |-> $past(a) && !$past(a, 2));  // a before the start is any value
  s9: assert property ((a ##1 b) or (b ##1 a) |=> p || q);
endmodule)"),
            "s1:proven s2:proven s3:refuted s4:proven s5:proven s6:proven s7:proven s8:refuted s9:proven");
}

// A statement that is never executed is listed; the turns of a loop are one assertion.
TEST(Prove, UnreachedStatementsAreVacuous) {
  EXPECT_EQ(verdicts(R"(
module m #(parameter int W = 4)(input logic [1:0] s, input logic [3:0] a, output logic [3:0] y);
  always_comb begin
    y = a;
    if (W > 8) a1: assert (y != a);
    if (s == 2'd4 && 1'b0) a2: assert (0); else a3: assert (y == a);
    case (2'd1) 2'd0: a4: assert (0); 2'd1: a5: assert (y == a); default: a6: assert (0); endcase
    for (int i = 0; i < 0; i++) a7: assert (0);
    for (int i = 0; i < 4; i++) begin
      a8: assert (y[i] == a[i]);
      if (i == 2) a9: assert (y[i]);
      if (i == 9) a10: assert (y[i]);
    end
  end
endmodule
module top(input logic [1:0] s, input logic [3:0] a, b);
  m u1(.s, .a, .y()), u2(.s, .a(b), .y());
endmodule)"),
            "u1.a1:vacuous u1.a2:vacuous u1.a3:proven u1.a4:vacuous u1.a5:proven u1.a6:vacuous u1.a7:vacuous u1.a8:proven u1.a9:refuted "
            "u1.a10:vacuous u2.a1:vacuous u2.a2:vacuous u2.a3:proven u2.a4:vacuous u2.a5:proven u2.a6:vacuous u2.a7:vacuous u2.a8:proven "
            "u2.a9:refuted u2.a10:vacuous");
}

// A signed literal in an unsigned expression is extended with zeros (IEEE 1800-2017, 11.8.2).
TEST(Prove, ExtendsLiteralsByTheirContext) {
  EXPECT_EQ(verdicts("module m(input [15:0] v); always_comb begin a: assert ((v | 8'sd205) >= 16'd0 && "
                     "(16'd0 | 8'sd205) == 16'h00cd); b: assert ((16'sd0 | 8'sd205) == 16'shffcd); end endmodule"),
            "a:proven b:proven");
}

TEST(Prove, CombinationalAndErrors) {
  EXPECT_EQ(verdicts(R"(
module m(input logic [3:0] s, a, output logic [3:0] y);
  always_comb begin
    casez (s) 4'b1???: y = a; 4'b01??: y = ~a; default: y = 4'd0; endcase
    if (s[3]) i1: assert (y == a); else if (s[2]) i2: assert (y == ~a); else i3: assert (y == 0);
    i4: assert (y != 4'd5);
  end
endmodule)"),
            "i1:proven i2:proven i3:proven i4:refuted");
  EXPECT_EQ(verdicts("module m(input a, output x, y);\n  assign x = y & a;\n  assign y = x;\nendmodule"),
            "t.sv:1:26: combinational loop through 'x'\n  module m(input a, output x, y);\n                           ^");
  EXPECT_EQ(verdicts("module m(input a);\n  sub u(a);\nendmodule"), "t.sv:2:3: no module 'sub'\n    sub u(a);\n    ^");
}

}  // namespace
}  // namespace callie::assertions
