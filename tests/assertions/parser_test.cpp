#include "assertions/syntax/parser.h"

#include <gtest/gtest.h>

#include "assertions/syntax/printer.h"

namespace callie::assertions {
namespace {

// Printing and parsing again must give the same tree, and printing that the same text.
void expect_round_trip(const std::string& text) {
  SourceSet sources;
  auto first = parse_text(sources, "first.sv", text);
  ASSERT_TRUE(first.ok()) << first.status().message();
  const std::string printed = print(*first);
  auto second = parse_text(sources, "second.sv", printed);
  ASSERT_TRUE(second.ok()) << second.status().message() << "\n" << printed;
  EXPECT_TRUE(*first == *second) << printed;
  EXPECT_EQ(printed, print(*second));
}

TEST(Parser, RoundTripsModules) {
  expect_round_trip(R"(
package p; typedef enum logic [1:0] {A, B = 2'd2, C} state_t; parameter int W = 8; endpackage
module m import p::*; #(parameter int N = 4, M = N * 2, localparam type T = logic [3:0], parameter logic [7:0] Q = 8'hF0)
 (input logic clk, rst_n, input [N-1:0] a, b, output logic signed [7:0] q, output wire z, input state_t s [2]);
  typedef struct packed { logic [3:0] hi; logic v, w; } pair_t;
  pair_t pair, other;
  logic [7:0] mem [0:15], x = 8'd3;
  wire [3:0] y = a + b, w;
  assign w = a & ~b | (a ^ b), z = |w ? ^a : !b[0];
  assign {x[1], y[3:2]} = {3{a[0]}};
  genvar i;
  for (genvar g = 0; g < N; g = g + 1) begin : gen
    always_ff @(posedge clk or negedge rst_n) if (!rst_n) q[g] <= 1'b0; else q[g] <= a[g] ? b[g +: 1] : pair.v;
  end
  if (N > 2) begin assign r = 1; end else if (N == 1) begin : one assign r = 2; end else begin assign r = 3; end
  function automatic logic [3:0] f(input logic [3:0] v, int k);
    for (int i = 0; i < 4; i++) begin if (v[i]) continue; f[i] = v[3 - i]; end
    return v + k;
  endfunction
  always_comb begin
    unique casez (a) 4'b1???: x = 1; 4'b01zz, 4'b0011: x = 2; default: x = 'x; endcase
    if (a == b) x = 0; else if (a inside {[1:3], 5, 4'b1??0}) x += 2; else begin x = -x; end
    priority if (a > 3) x = y <= 2; else x = a === b;
    case (s[0]) inside [0:1]: x = state_t'(2); default: x = 8'(signed'(a) >>> 2); endcase
  end
  sub #(.W(3), .T(logic [2:0])) u1 (.clk, .a(a[2:0]), .b(), .*), u2 (clk, , b);
  initial begin x = '{default: 0}; repeat (3) x = x + 1; end
  assign pair = pair_t'{hi: a, default: 1'b0}, other = {<< 4 {a, b}}, w = {>> {a}} & {<<{b}} | {<< byte {x}};
  bind sub checks #(.W(3)) c (.clk, .a, .b());
endmodule
)");
}

TEST(Parser, RoundTripsProperties) {
  expect_round_trip(R"(
module m (input clk, rst, a, b, c, d, input [3:0] v);
  default clocking cb @(posedge clk); endclocking
  default disable iff (rst);
  sequence s(x, y = 1); x ##[1:3] y; endsequence
  property p(logic q, n); @(posedge clk) disable iff (rst || !c) q |-> ##n b; endproperty
  a0: assert property (p(a, 2)) else $error("no %d", a);
  a1: assert property (@(negedge clk) a && b |=> ##2 c ##[0:$] d[*2:4] ##1 (a or b)[*] ##1 c[->2] ##1 d[=1:2]);
  a2: assert property (not (a ##1 b) and (c or d implies a) iff b until c);
  a3: assume property (if (a) b |-> c else if (b) d else nexttime[2] a);
  a4: assert property ((a ##1 b) intersect c[*2] within d[*5] |-> a throughout b ##1 c);
  a5: cover property (first_match(a ##[1:2] b) #-# strong(c ##1 d));
  a6: assert property (a |-> b |=> c s_until_with d);
  a7: assert property (case (v) 1, 2: a; 3: b |-> c; default: d; endcase);
  a8: assert property (s(a && c, b).triggered |-> always [1:3] a);
  a9: assert property ((a -> b) |-> (c ? a : b) ##0 (a <-> b));
  a10: assert property (accept_on (a) reject_on (b) s_eventually [1:3] c);
  always @(posedge clk) begin if (a) a11: assert (b) else $error; assert final (a); assert #0 (b); cover (c); end
  always_ff @(posedge clk iff a) begin assume ($past(v, 2, a, @(posedge clk)) == $countones(v) && !$isunknown(a)); end
endmodule
)");
}

TEST(Parser, NumbersKeepTheirDigits) {
  SourceSet sources;
  for (const char* text : {"8'hff", "4'b1x0?", "7'hx?", "'x", "'1", "12'o7x7", "32'd5", "5", "8'sd100", "'hff",
                           "100'd1234567890123456789012345", "3'dx", "16 'd 9"}) {
    auto first = parse_expression(sources, "e", text);
    ASSERT_TRUE(first.ok()) << first.status().message();
    auto second = parse_expression(sources, "e", print(*first));
    ASSERT_TRUE(second.ok()) << second.status().message();
    EXPECT_TRUE(*first == *second) << text << " -> " << print(*first);
  }
}

std::string error_of(const std::string& text) {
  SourceSet sources;
  auto unit = parse_text(sources, "f.sv", text);
  return unit.ok() ? "" : unit.status().message().substr(0, unit.status().message().find('\n'));
}

TEST(Parser, NamesThePlaceOfAMistake) {
  EXPECT_EQ(error_of("module m;\n  assign a = ;\nendmodule\n"), "f.sv:2:14: expected an expression before ';'");
  EXPECT_EQ(error_of("module m;\n  assign a = 1\nendmodule\n"),
            "f.sv:2:15: expected ';' after the assignment before 'endmodule'");
  EXPECT_EQ(error_of("`define A `B\n`define B `A\nmodule m; assign x = `A; endmodule"),
            "f.sv:3:22: macro `A uses itself");
  EXPECT_EQ(error_of("module m; wire [3:0] a = 4'h1G; endmodule"), "f.sv:1:26: 'G' is not a digit of base 16");
  EXPECT_EQ(error_of("module m; assign x = 's33;"), "f.sv:1:22: number without a base");
  EXPECT_EQ(error_of("module m; assign x = 4's;"), "f.sv:1:22: number without a base");
  const std::string deep(10000, '(');
  EXPECT_EQ(error_of("module m; assign x = " + deep), "f.sv:1:271: nested deeper than 500 levels");
  EXPECT_EQ(error_of("`ifdef X\nmodule m;"), "f.sv:1:1: `ifdef without an `endif");
}

TEST(Preprocessor, ExpandsMacros) {
  SourceSet sources;
  auto unit = parse_text(sources, "f.sv", R"(
`define MAX(a, b = 2) ((a) > (b) ? (a) : (b))
`define NAME(x) x``_q
`define WIDTH 8
`ifdef NOPE
  broken " text
`elsif WIDTH
module m; assign `NAME(a) = `MAX(`MAX(1, 3), ) + `WIDTH'd3; endmodule
`else
  broken
`endif
)");
  ASSERT_TRUE(unit.ok()) << unit.status().message();
  EXPECT_EQ(print(unit->modules[0].items[0]),
            "assign a_q = ((1 > 3 ? 1 : 3) > 2 ? (1 > 3 ? 1 : 3) : 2) + 8'd3;\n");
}

}  // namespace
}  // namespace callie::assertions
