#include <gtest/gtest.h>

#include "assertions/prove/prove.h"

namespace callie::assertions {
namespace {

struct Form {
  const char* form;        ///< as in the specification's table, and some more
  const char* correct;
  const char* wrong;       ///< empty: the form is named as unsupported
  const char* construct;   ///< of an unsupported form
};

// y = a, q <= a, and a synchronous reset.
constexpr Form kForms[] = {
    {"assert(e) in always_comb", "always_comb x: assert (y == a);", "always_comb x: assert (y == b);", ""},
    {"assert(e) in always_ff", "always_ff @(posedge clk) if (a) x: assert (y);", "always_ff @(posedge clk) if (a) x: assert (b);", ""},
    {"assert final", "always_comb x: assert final (y == a);", "always_comb x: assert final (y != a);", ""},
    {"assert #0", "always_comb x: assert #0 (y == a);", "always_comb x: assert #0 (y != a);", ""},
    {"|->", "x: assert property (@(posedge clk) a |-> y);", "x: assert property (@(posedge clk) a |-> b);", ""},
    {"|=>", "x: assert property (@(posedge clk) disable iff (rst) a |=> q);", "x: assert property (@(posedge clk) disable iff (rst) a |=> !q);", ""},
    {"disable iff", "x: assert property (@(posedge clk) disable iff (rst) !a |=> !q);", "x: assert property (@(posedge clk) a |=> q);", ""},
    {"named property", "property p; @(posedge clk) a |-> y; endproperty x: assert property (p);", "property p; @(posedge clk) a |-> !y; endproperty x: assert property (p);", ""},
    {"else $error", "x: assert property (@(posedge clk) a |-> y) else $error(\"no\");", "x: assert property (@(posedge clk) a |-> b) else $error(\"no\");", ""},
    {"$past", "x: assert property (@(posedge clk) disable iff (rst) 1 |=> q == $past(a));", "x: assert property (@(posedge clk) disable iff (rst) 1 |=> q == $past(b));", ""},
    {"$stable", "x: assert property (@(posedge clk) disable iff (rst) a && q |=> $stable(q));", "x: assert property (@(posedge clk) disable iff (rst) a |=> $stable(q));", ""},
    {"not", "x: assert property (@(posedge clk) not (a && !y));", "x: assert property (@(posedge clk) not (a && y));", ""},
    {"@(negedge c)", "x: assert property (@(negedge clk) a |-> y);", "x: assert property (@(negedge clk) a |-> !y);", ""},
    {"default clocking", "default clocking @(posedge clk); endclocking x: assert property (a |-> y);", "default clocking @(posedge clk); endclocking x: assert property (a |-> b);", ""},
    {"==?", "x: assert property (@(posedge clk) {a, b} ==? 2'b1? |-> y);", "x: assert property (@(posedge clk) {a, b} ==? 2'b?1 |-> y);", ""},
    {"assert property (boolean), clocked", "x: assert property (@(posedge clk) a == y);", "x: assert property (@(posedge clk) a == b);", ""},
    {"assert property (boolean), unclocked", "x: assert property (a == y);", "x: assert property (a == b);", ""},
    {"|-> on a register", "x: assert property (@(posedge clk) disable iff (rst) a |=> q == $past(a));", "x: assert property (@(posedge clk) disable iff (rst) a |-> q == a);", ""},
    {"##n", "x: assert property (@(posedge clk) disable iff (rst) a |-> ##1 q);", "x: assert property (@(posedge clk) disable iff (rst) a |-> ##2 q);", ""},
    {"##[m:n]", "x: assert property (@(posedge clk) disable iff (rst) a |-> ##[1:3] q);", "x: assert property (@(posedge clk) disable iff (rst) b |-> ##[1:3] q);", ""},
    {"sequence", "sequence s; a ##1 b; endsequence x: assert property (@(posedge clk) s |-> y == b || b);", "sequence s; a ##1 b; endsequence x: assert property (@(posedge clk) s |-> a);", ""},
    {"a ##1 b |->", "x: assert property (@(posedge clk) disable iff (rst) a ##1 b |-> q);", "x: assert property (@(posedge clk) disable iff (rst) b ##1 a |-> q);", ""},
    {"default disable iff", "default disable iff (rst); x: assert property (@(posedge clk) a |=> q);", "default disable iff (b); x: assert property (@(posedge clk) a |=> q);", ""},
    {"if/else", "x: assert property (@(posedge clk) if (a) y else !y);", "x: assert property (@(posedge clk) if (a) y else b);", ""},
    {"implies", "x: assert property (@(posedge clk) (a && b) implies y);", "x: assert property (@(posedge clk) b implies y);", ""},
    {"case", "x: assert property (@(posedge clk) case ({a, b}) 2'b10, 2'b11: y; 2'b00: !y; endcase);", "x: assert property (@(posedge clk) case ({a, b}) 2'b11: y; default: !y; endcase);", ""},
    {"until", "x: assert property (@(posedge clk) disable iff (rst) a |=> q until 1'b1);", "x: assert property (@(posedge clk) disable iff (rst) a |=> q until b);", ""},
    {"[*n]", "x: assert property (@(posedge clk) a[*2] |-> y);", "x: assert property (@(posedge clk) a[*2] |-> b);", ""},
    {"s_eventually", "x: assert property (@(posedge clk) a |-> s_eventually b);", "", "s_eventually"},
    {"##[m:$]", "x: assert property (@(posedge clk) a |-> ##[1:$] b);", "", "##[1:$]"},
    {"[->n]", "x: assert property (@(posedge clk) a |-> b[->2]);", "", "[->2]"},
    {"s_until", "x: assert property (@(posedge clk) a s_until b);", "", "s_until"},
    {"##n, unclocked", "x: assert property (a ##1 b |-> y);", "", "without a clock"},
    {"unknown name", "x: assert property (@(posedge clk) a |-> nothing_here);", "", "nothing_here"},
};

std::string module_with(const std::string& text) {
  return "module m(input clk, rst, a, b, output logic q, y);\n always_comb y = a;\n"
         " always_ff @(posedge clk) if (rst) q <= 0; else q <= a;\n " + text +
         "\n other: assert property (@(posedge clk) a |-> y);\nendmodule\n";
}

TEST(Prove, EveryFormIsDecidedOrNamed) {
  for (const Form& form : kForms) {
    const auto report = prove_text("t.sv", module_with(form.correct));
    ASSERT_TRUE(report.ok()) << form.form << ": " << form.correct << "\n" << report.status().message();
    const AssertionResult* x = nullptr;
    const AssertionResult* other = nullptr;
    for (const AssertionResult& r : report->assertions) (r.name == "x" ? x : other) = &r;
    ASSERT_TRUE(x && other) << form.correct;
    EXPECT_EQ(name(other->verdict), "proven") << form.correct;
    if (*form.construct) {
      EXPECT_EQ(name(x->verdict), "unsupported") << form.correct;
      EXPECT_NE(x->reason.find(form.construct), std::string::npos) << form.correct << ": " << x->reason;
      EXPECT_EQ(x->place.line, 4);
      continue;
    }
    EXPECT_EQ(name(x->verdict), "proven") << form.correct << ": " << x->reason;
    const auto wrong = prove_text("t.sv", module_with(form.wrong));
    ASSERT_TRUE(wrong.ok()) << form.wrong << "\n" << wrong.status().message();
    for (const AssertionResult& r : wrong->assertions) {
      if (r.name != "x") continue;
      EXPECT_EQ(name(r.verdict), "refuted") << form.wrong;
    }
  }
}

}  // namespace
}  // namespace callie::assertions
