#include <gtest/gtest.h>

#include <fstream>

#include "assertions/prove/prove.h"
#include "assertions/syntax/parser.h"

namespace callie::assertions {
namespace {

constexpr int kDeep = 10000;

std::string repeat(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

std::string in_module(const std::string& items) { return "module m(input a, output logic y);\n" + items + "\nendmodule\n"; }

// The message without the excerpt of the text below it.
std::string error_of(const std::string& text) {
  const auto report = prove_text("f.sv", text);
  if (report.ok()) return report->assertions.empty() ? "" : report->assertions[0].reason;
  const std::string message = report.status().message();
  const size_t end = message.find('\n');
  if (end != std::string::npos) {
    EXPECT_NE(message.find('^', end), std::string::npos) << "no caret below " << message.substr(0, end);
  }
  return message.substr(0, end);
}

TEST(BadInput, DeepNestingIsOneLineWithItsPlace) {
  const struct { const char* what; std::string items; const char* message; } kCases[] = {
      {"parentheses", "assign y = " + repeat("(", kDeep) + "a" + repeat(")", kDeep) + ";", "f.sv:2:261: nested deeper than 500 levels"},
      {"begin", "always_comb " + repeat("begin ", kDeep) + "y = a;" + repeat(" end", kDeep), "f.sv:2:3007: nested deeper than 500 levels"},
      {"unary", "assign y = " + repeat("~", kDeep) + "a;", "f.sv:2:510: nested deeper than 500 levels"},
      {"minus", "assign y = " + repeat("- ", kDeep) + "a;", "f.sv:2:1008: nested deeper than 500 levels"},
      {"concatenation", "assign y = " + repeat("{", kDeep) + "a" + repeat("}", kDeep) + ";", "f.sv:2:261: nested deeper than 500 levels"},
      {"ternary, right", "assign y = " + repeat("a ? a : ", kDeep) + "a;", "f.sv:2:2006: nested deeper than 500 levels"},
      {"ternary, middle", "assign y = " + repeat("a ? ", kDeep) + "a" + repeat(" : a", kDeep) + ";", "f.sv:2:1010: nested deeper than 500 levels"},
      {"generate if", repeat("if (1) begin ", kDeep) + repeat("end ", kDeep), "f.sv:2:6492: nested deeper than 500 levels"},
      {"generate for", repeat("for (genvar i=0;i<1;i++) ", kDeep) + ";", "f.sv:2:12469: nested deeper than 500 levels"},
      {"if", "always_comb " + repeat("if (a) ", kDeep) + "y = a;", "f.sv:2:3503: nested deeper than 500 levels"},
      {"else", "always_comb " + repeat("if (a) y = 1; else ", kDeep) + "y = a;", "f.sv:2:9467: nested deeper than 500 levels"},
      {"sum", "assign y = " + repeat("a + ", kDeep) + "a;", "f.sv:2:8018: more than 2000 operators in a row"},
      {"property", "x: assert property (@(posedge a) " + repeat("not ", kDeep) + "a);", "f.sv:2:2018: nested deeper than 500 levels"},
      {"implication", "x: assert property (@(posedge a) " + repeat("a |-> ", kDeep) + "a);", "f.sv:2:3010: nested deeper than 500 levels"},
      {"delay", "x: assert property (@(posedge a) " + repeat("a ##1 ", kDeep) + "a);", "f.sv:2:3042: too many '##' in a row"},
      {"select", "assign y = a" + repeat("[0]", kDeep) + ";", "f.sv:2:1516: more than 500 selects in a row"},
      {"index", "assign y = " + repeat("a[", kDeep) + "0" + repeat("]", kDeep) + ";", "f.sv:2:1010: nested deeper than 500 levels"},
      {"struct", repeat("struct packed { ", kDeep) + "logic a;" + repeat(" } a;", kDeep), "f.sv:2:7985: nested deeper than 500 levels"},
  };
  for (const auto& one : kCases) EXPECT_EQ(error_of(in_module(one.items)), one.message) << one.what;
  EXPECT_EQ(error_of(repeat("`ifndef X\n", kDeep) + "module m; endmodule\n" + repeat("`endif\n", kDeep)),
            "f.sv:1001:1: conditions nest deeper than 1000");
}

TEST(BadInput, HugeDesignsEndEarly) {
  const struct { std::string text; const char* message; } kCases[] = {
      {"module m(input [999999:0] a);\nendmodule", "f.sv:1:16: a vector of 1000000 bits; the limit is 65536"},
      {"module m(input [2147483647:-2147483647] a);\nendmodule", "f.sv:1:16: a vector of 4294967295 bits; the limit is 65536"},
      {"module m(input [99999999999999999999:0] a);\nendmodule", "f.sv:1:17: an unsized number needs more than 32 bits"},
      {"module m; logic [7:0] mem [0:1000000000];\nendmodule", "f.sv:1:23: an array of 1000000001 x 8 bits; the limit is 262144 bits"},
      {in_module("assign y = ^{100000000{a}};"), "f.sv:2:13: a replication of 1 to 65536 bits expected"},
      {in_module("assign y = ^{99999{{99999{a}}}};"), "f.sv:2:20: a replication of 1 to 65536 bits expected"},
      {in_module("assign y = ^{-1{a}};"), "f.sv:2:13: a replication of 1 to 65536 bits expected"},
      {in_module("assign y = ^{a{a}};"), "f.sv:2:14: a replication count must be constant"},
      {in_module("assign y = 2147483648'd1;"), "f.sv:2:12: a literal has 1 to 65536 bits"},
      {in_module("always_comb begin y = a; for (int i = 0; i < 1000000000; i++) y = ~y; end"), "f.sv:2:26: a loop of more than 65536 turns"},
      {in_module("always_comb begin y = a; for (;;) y = ~y; end"), "f.sv:2:26: a loop of more than 65536 turns"},
      {in_module("for (genvar i = 0; i < 1000000000; i++) begin wire x; end"), "f.sv:2:1: a generate loop of more than 65536 turns"},
      {in_module("for (genvar i = 0; i < 10; i = i) begin wire x; end"), "f.sv:2:1: a generate loop that does not move"},
      {in_module("function automatic f(input x); return f(x); endfunction assign y = f(a);"), "f.sv:2:39: 'f' calls itself more than 64 levels deep"},
      {in_module("property p; a |=> p; endproperty x: assert property (@(posedge a) p);"), "recursive property 'p'"},
      {in_module("x: assert property (@(posedge a) y |-> ##1000000000 y);"), "##1000000000"},
      {"module m(input a);\n m u(a);\nendmodule module t(input a); m u(a); endmodule", "f.sv:1:8: 'm' instantiates itself more than 64 levels deep"},
      {"package p; import q::*; endpackage package q; import p::*; endpackage module m import p::*; (input a); endmodule",
       "f.sv:1:54: package 'p' imports itself"},
  };
  for (const auto& one : kCases) EXPECT_EQ(error_of(one.text), one.message) << one.text.substr(0, 100);
}

TEST(BadInput, WhatIsMissingOrMeaningless) {
  const struct { std::string text; const char* message; } kCases[] = {
      {"", "f.sv: no module"},
      {" \n\n", "f.sv: no module"},
      {"`define A 1\n", "f.sv: no module"},
      {"// only\n/* open", "f.sv:2:1: comment without an end"},
      {std::string("\xff\xfe\x00\x01", 4), "f.sv:1:1: character outside of ASCII"},
      {std::string("module m;\0\0 endmodule", 21), "f.sv:1:10: unexpected character '?'"},
      {"module m; initial $display(\"abc\n", "f.sv:1:28: string without an end"},
      {"module m(input a, output x, y);\n assign x = y & a;\n assign y = x;\nendmodule", "f.sv:1:26: combinational loop through 'x'"},
      {"module m(input a);\n  sub u(a);\nendmodule", "f.sv:2:3: no module 'sub'"},
      {"`define A `B\n`define B `A\nmodule m; wire x = `A; endmodule", "f.sv:3:20: macro `A uses itself"},
      {"`define F(x) `F(x)\nmodule m; wire x = `F(1); endmodule", "f.sv:2:20: macro `F uses itself"},
      {"`include \"f.sv\"\nmodule m; endmodule", "f.sv:1:1: no file 'f.sv' to include"},
  };
  for (const auto& one : kCases) EXPECT_EQ(error_of(one.text), one.message) << one.text.substr(0, 100);
}

TEST(BadInput, IncludeCyclesEnd) {
  const std::string folder = testing::TempDir();
  std::ofstream(folder + "one.svh") << "`include \"two.svh\"\n";
  std::ofstream(folder + "two.svh") << "`include \"one.svh\"\n";
  SourceSet sources;
  const auto unit = parse_files(sources, {folder + "one.svh"});
  ASSERT_FALSE(unit.ok());
  EXPECT_EQ(unit.status().message().substr(0, unit.status().message().find('\n')), folder + "two.svh:1:1: `include \"one.svh\" nests deeper than 40");
}

// Doubling macros: 2^40 tokens.
TEST(BadInput, MacrosThatGrowEnd) {
  std::string text = "`define M0 1 +\n";
  for (int i = 1; i < 40; ++i) text += "`define M" + std::to_string(i) + " `M" + std::to_string(i - 1) + " `M" + std::to_string(i - 1) + "\n";
  EXPECT_EQ(error_of(text + "module m; wire x = `M39 1; endmodule"), "f.sv:41:20: macros expand to more than 64 MiB");
}

}  // namespace
}  // namespace callie::assertions
