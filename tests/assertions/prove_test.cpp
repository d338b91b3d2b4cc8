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

// A loop variable keeps the value that it had where the loop was left, and `return` ends a foreach.
TEST(Prove, LoopsThatAreLeft) {
  EXPECT_EQ(verdicts(R"(
module m(input logic [7:0] v, input logic [2:0] k, output logic [3:0] first, zeros, last);
  function automatic logic signed [4:0] highest(logic [7:0] x);
    foreach (x[j]) if (x[j]) return 5'(j);
    return -1;
  endfunction
  function automatic int ones_below(logic [7:0] x, int limit);
    ones_below = 0;
    for (int i = 0; i < 8; i++) begin
      if (!x[i]) continue;
      if (i == limit) break;
      ones_below++;
    end
  endfunction
  function automatic logic [3:0] pairs(logic [7:0] x);
    pairs = 0;
    for (int i = 0; i < 8; i++) for (int j = 0; j < 8; j++) begin
      if (j >= i) break;
      if (x[i] && x[j]) begin pairs = 4'(i); return pairs; end
    end
  endfunction
  logic [1:0][3:0] grid;
  logic [3:0] where;
  always_comb begin
    int i;
    for (i = 0; i < 8; i++) if (v[i]) break;
    first = 4'(i);
    zeros = 0;
    i = 7;
    while (i >= 0) begin if (v[i]) break; zeros++; i--; end
    last = 4'(i);
    grid = v;
    where = 8;
    foreach (grid[r, c]) if (grid[r][c]) begin where = 4'(4 * r + c); break; end
  end
  always_comb begin
    a1: assert (v == 0 ? first == 8 : first < 8 && v[first] && (v & ((8'd1 << first) - 8'd1)) == 0);
    a2: assert (first == 0);
    b1: assert (v == 0 ? zeros == 8 : v[7 - zeros] && (v >> (8 - zeros)) == 0);
    b2: assert (v == 0 ? last == 4'hf : last == 7 - zeros);
    c1: assert (v == 0 ? highest(v) == -1 : highest(v) == 7 - zeros);
    c2: assert (highest(v) >= 0);
    d1: assert (ones_below(v, 32'(k)) == (v[k] ? $countones(v & ((8'd1 << k) - 8'd1)) : $countones(v)));
    e1: assert (where == (v == 0 ? 8 : 7 - zeros));
    f1: assert ($countones(v) < 2 ? pairs(v) == 0 : pairs(v) > first && v[pairs(v)] && $countones(v & ((8'd2 << pairs(v)) - 8'd1)) == 2);
  end
endmodule)"),
            "a1:proven a2:refuted b1:proven b2:proven c1:proven c2:refuted d1:proven e1:proven f1:proven");
}

TEST(Prove, Streams) {
  EXPECT_EQ(verdicts(R"(
module m(input logic [7:0] a, input logic [11:0] b, output logic [7:0] y, output logic [15:0] w);
  always_comb begin
    y = {<<{a}};
    w = {<< 4 {a}};
    r1: assert (y == {a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]});
    r2: assert ({<< 4 {b}} == {b[3:0], b[7:4], b[11:8]});
    r3: assert ({<< 5 {b}} == {b[4:0], b[9:5], b[11:10]});
    r4: assert ({>> {a, b}} == {a, b});
    r5: assert (w == {a[3:0], a[7:4], 8'd0});
    r6: assert ({<< byte {a, b[7:0]}} == {b[7:0], a});
    r7: assert (y == a);
  end
endmodule)"),
            "r1:proven r2:proven r3:proven r4:proven r5:proven r6:proven r7:refuted");
}

// Old Verilog: one integer counts in several processes, delays in assignments, nets that nothing declares.
TEST(Prove, OldStyle) {
  const std::string text = R"(
module inv(i, o);
  input [3:0] i;
  output [3:0] o;
  reg [3:0] o;
  integer k;
  always @(i) for (k = 0; k < 4; k = k + 1) o[k] = !i[k];
endmodule
module m(clk, rst, a, q, p, n);
  input clk, rst;
  input [3:0] a;
  output reg [3:0] q;
  output reg p;
  output [3:0] n;
  supply1 vdd;
  integer k;
  and g1(w1, a[0], a[1], a[2]), (w2, a[3], w1);
  nor #1 g2(w3, w1, a[3]);
  not (w4, w5, w3);
  inv u(a, n);
  inv v(.i({3'b000, a[0]}), .o({unused1, unused2, unused3, single}));
  assign both = single & vdd;
  always @(posedge clk or posedge rst)
    if (rst) for (k = 0; k < 4; k = k + 1) q[k] <= #1 1'b0;
    else q <= #1 a;
  always @(a) begin
    p = 0;
    for (k = 0; k < 4; k = k + 1) p = p ^ a[k];
  end
  a1: assert property (@(posedge clk) rst |-> q == 0);
  a2: assert property (@(posedge clk) disable iff (rst) 1 |=> q == $past(a));
  a3: assert property (@(posedge clk) p == ^a && n == ~a);
  a4: assert property (@(posedge clk) both == !a[0]);
  a5: assert property (@(posedge clk) w2 == &a && w3 == !(&a[2:0] || a[3]) && w4 == !w3 && w5 == w4);
endmodule)";
  EXPECT_EQ(verdicts(text), "a1:proven a2:proven a3:proven a4:proven a5:proven");
  const std::string read = "module m(input a, output reg [1:0] x, y, output [31:0] z);\n  integer k;\n"
                           "  always @* for (k = 0; k < 2; k = k + 1) x[k] = a;\n  always @* for (k = 0; k < 2; k = k + 1) y[k] = a;\n";
  EXPECT_EQ(verdicts(read + "  b: assert property (x == y);\nendmodule"), "b:proven");
  EXPECT_EQ(verdicts(read + "  assign z = k;\nendmodule"), "t.sv:2:11: 'k' has more than one driver\n    integer k;\n            ^");
}

TEST(Prove, PatternsInArmsAndArraysAsParameters) {
  EXPECT_EQ(verdicts(R"(
module pick #(parameter int TABLE [2] = '{1, 2})(input logic i, output logic [7:0] y);
  assign y = 8'(TABLE[i]);
endmodule
module m(input logic a, b, input logic [3:0] v, output logic [7:0] y);
  typedef struct pair_t;
  typedef logic [1:0] two_t;
  typedef enum two_t {ONE = 2'd1, TWO} small_e;
  typedef struct packed { logic [3:0] hi; logic [3:0] lo; } pair_t;
  localparam int WANTED [2] = '{7, 9};
  pair_t p;
  assign p = a ? pair_t'{hi: v, lo: 4'd0} : b ? '{hi: 4'd0, lo: v} : '{default: '1};
  pick #(.TABLE(WANTED)) u(.i(a), .y);
  p1: assert property (p == (a ? {v, 4'd0} : b ? {4'd0, v} : 8'hff));
  p2: assert property (y == (a ? 9 : 7));
  p3: assert property ($bits(small_e) == 2 && TWO == 2'd2);
endmodule)"),
            "p1:proven p2:proven p3:proven");
}

TEST(Prove, StringParameters) {
  EXPECT_EQ(verdicts(R"(
module sub #(parameter MODE = "SLOW", parameter string KIND = "A", parameter [23:0] TAG = "ab")(input logic a, output logic y);
  localparam string SAME = KIND;
  if (MODE == "FAST") begin : g assign y = a; end else begin : h assign y = ~a; end
  p: assert property (KIND == "B" && SAME == KIND && SAME != "A" && KIND != "BB");
  q: assert property (TAG == 24'h006162);
endmodule
module m(input logic a, output logic y, z);
  sub #(.MODE("FAST"), .KIND("B")) u(.a, .y);
  sub v(.a, .y(z));
  r: assert property (y == a && z == !a);
endmodule)"),
            "u.p:proven u.q:proven v.p:refuted v.q:proven r:proven");
}

TEST(Prove, SelectsOfPackedStructs) {
  EXPECT_EQ(verdicts(R"(
module m(input logic [7:0] a, input logic [2:0] i, output logic [7:0] y);
  typedef struct packed { logic [3:0] hi; logic [1:0] mid; logic [1:0] lo; } parts_t;
  typedef union packed { parts_t parts; logic [7:0] raw; } either_t;
  typedef enum logic [1:0] {A = 2'b10, B = 2'b01} kind_t;
  parts_t p;
  either_t u;
  kind_t k;
  always_comb begin
    p = a;
    p[0] = 1'b0;
    p[4 +: 2] = p.lo;
    u.raw = a;
    u[i] = 1'b1;
    k = a[0] ? A : B;
    y = {u[7:4], u.parts.hi};
    s1: assert (p.hi[1:0] == {a[1], 1'b0} && p[7:6] == a[7:6] && p.mid == a[3:2]);
    s2: assert (u.raw == (a | (8'd1 << i)) && u[i]);
    s3: assert (k[1] == a[0] && k[0] == !a[0]);
    s4: assert (p == a);
  end
endmodule)"),
            "s1:proven s2:proven s3:proven s4:refuted");
}

// `if (!rst_n || clear)` below an asynchronous reset: clear is synchronous. A memory read from a file starts at any value.
TEST(Prove, ResetsWithMoreThanTheirLevel) {
  EXPECT_EQ(verdicts(R"(
module m(input logic clk, rst_n, clear, stop, en, input logic [1:0] at, output logic [3:0] q, output logic [7:0] d);
  logic [7:0] mem [4];
  initial $readmemh("table.hex", mem);
  assign d = mem[at];
  always_ff @(posedge clk or negedge rst_n) if (!rst_n || clear || stop) q <= 4'd3; else if (en) q <= q + 4'd1;
  a: assert property (@(posedge clk) !rst_n |-> q == 3);
  b: assert property (@(posedge clk) clear |-> q == 3);
  c: assert property (@(posedge clk) clear || stop |=> q == 3);
  d1: assert property (@(posedge clk) disable iff (!rst_n) en && !clear && !stop |=> q == 4'($past(q) + 1));
  e: assert property (@(posedge clk) 1 |=> at != $past(at) || d == $past(d));
  f: assert property (@(posedge clk) d == 0);
endmodule)"),
            "a:proven b:refuted c:proven d1:proven e:proven f:refuted");
}

// Assertions in a module of their own, bound to every instance of another.
TEST(Prove, Bind) {
  const std::string text = R"(
module counter #(parameter int LIMIT = 5)(input logic clk, rst, output logic [3:0] n);
  logic wrap;
  assign wrap = n == LIMIT;
  always_ff @(posedge clk) if (rst || wrap) n <= 0; else n <= n + 1;
endmodule
module counter_sva #(parameter int TOP = 1)(input logic clk, rst, wrap, input logic [3:0] n);
  a: assert property (@(posedge clk) disable iff (rst) wrap |=> n == 0);
  b: assert property (@(posedge clk) disable iff (rst) n != TOP |=> n != 0);
endmodule
bind counter counter_sva #(.TOP(LIMIT)) sva (.clk, .rst, .wrap, .n);
module top(input logic clk, rst, output logic [3:0] x, y);
  counter u1(.clk, .rst, .n(x));
  counter #(.LIMIT(9)) u2(.clk, .rst, .n(y));
endmodule)";
  EXPECT_EQ(verdicts(text), "u1.sva.a:proven u1.sva.b:refuted u2.sva.a:proven u2.sva.b:refuted");
  EXPECT_EQ(verdicts("module m(input a); endmodule\nbind x y z(.*);"), "t.sv:2:6: no module 'x'\n  bind x y z(.*);\n       ^");
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
