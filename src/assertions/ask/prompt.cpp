#include "assertions/ask/prompt.h"

namespace callie::assertions {
namespace {

constexpr int kMaxFindings = 12;

std::string quoted(const std::string& text) {
  return text.empty() || text.back() == '\n' ? text : text + "\n";
}

}  // namespace

std::vector<Example> built_in_examples() {
  const auto clocked = [](const std::string& code, const std::string& answer) {
    return Example{vert_instruction(code, true, "posedge clk"), answer};
  };
  return {
      clocked("if (load) begin\n  count <= start;\nend else if (step) begin\n  count <= count + 4'd1;\nend",
              "a_load: assert property (@(posedge clk) load |=> count == $past(start));\n"
              "a_step: assert property (@(posedge clk) !load && step |=> count == $past(count + 4'd1));\n"
              "a_hold: assert property (@(posedge clk) !load && !step |=> $stable(count));\n"),
      clocked("case (mode)\n  2'd0: out <= left;\n  2'd1: out <= right;\n  default: out <= 8'd0;\nendcase",
              "a_left: assert property (@(posedge clk) mode == 2'd0 |=> out == $past(left));\n"
              "a_right: assert property (@(posedge clk) mode == 2'd1 |=> out == $past(right));\n"
              "a_default: assert property (@(posedge clk) mode != 2'd0 && mode != 2'd1 |=> out == 8'd0);\n"),
      {vert_instruction("if (sel) begin\n  y = a;\nend else begin\n  y = b;\nend", false, ""),
       "always_comb begin\n  if (sel) a_sel: assert (y == a);\n  if (!sel) a_else: assert (y == b);\nend\n"},
      clocked("always_ff @(posedge clk or negedge rst_n)\n  if (!rst_n) busy <= 1'b0;\n  else if (start) busy <= 1'b1;",
              "a_reset: assert property (@(posedge clk) !rst_n |-> busy == 1'b0);\n"
              "a_start: assert property (@(posedge clk) disable iff (!rst_n) start |=> busy == 1'b1);\n"
              "a_hold: assert property (@(posedge clk) disable iff (!rst_n) !start |=> $stable(busy));\n"),
  };
}

Example example_of(const Task& task) { return {request_of(task), task.assertion}; }

std::string request_of(const Task& task) {
  if (task.request.empty()) return vert_instruction(task.code, task.synchronous, task.clock_text);
  return fmt::format("Write a SystemVerilog assertion for this module:\n{}\nThe assertion shall check {}", quoted(task.code), task.request);
}

std::vector<ChatTurn> conversation(const Task& task, const std::vector<Example>& examples) {
  std::vector<ChatTurn> out{{"system", "You are a programming assistant for hardware verification. You answer with SystemVerilog only."}};
  for (const Example& example : examples) {
    out.push_back({"user", example.request});
    out.push_back({"assistant", example.answer});
  }
  out.push_back({"user", request_of(task)});
  return out;
}

std::string repair_request(const AnswerJudgement& judgement) {
  std::string out = "The assertions were checked. These problems were found:\n";
  int count = 0;
  const auto add = [&](const Diagnostic& d, const std::string& name) {
    if (!d.is_error || d.in_module || count >= kMaxFindings) return;
    ++count;
    out += fmt::format("line {}, column {}{}: {} [{}]\n", d.line, d.column, name.empty() ? "" : " (" + name + ")", d.message, d.code);
  };
  for (const Diagnostic& d : judgement.diagnostics) add(d, "");
  for (const AssertionJudgement& one : judgement.assertions) {
    for (const Diagnostic& d : one.diagnostics) add(d, one.name);
  }
  out += "Write all assertions again, corrected. Answer with SystemVerilog only.";
  return out;
}

}  // namespace callie::assertions
