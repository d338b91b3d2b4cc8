#pragma once

#include <string>
#include <vector>

#include "assertions/dataset/pair.h"

/// What a model is asked and judged on, whatever data set it comes from.
namespace callie::assertions {

struct Task {
  std::string id;
  std::string code;          ///< what the model sees: a snippet or a whole module
  bool synchronous = false;
  std::string clock_text;    ///< "posedge clk"; empty when not clocked
  std::string request;       ///< what the assertion shall say, for sets that describe it in words; else empty
  std::string module;        ///< SystemVerilog text; assertions are put at the end of its top module
  std::string assertion;     ///< the reference's assertions; empty when the set has none
  std::vector<std::string> obligations;    ///< texts of single reference assertions; empty: those of `assertion`
  std::vector<std::string> wrong_modules;  ///< design mutants that a complete answer catches
  int line = 0;              ///< in its file
};

/// An answer line: {"id", "sample", "Assertion"}.
struct AnswerLine {
  std::string id;
  int sample = 0;
  std::string text;
  int line = 0;
};

Task task_of(const Pair& pair);

/// Reads tasks. Formats are told apart by what they hold:
///   JSON lines of `generate` (or {"id", "module", "Assertion"}); VERT's records (a JSON array or JSON lines of "Code",
///   "Assertion", "Synchronous", "Clock"), put into a module made for them; FVEval's CSV (design_name, task_id, prompt,
///   ref_solution, testbench); VerilogEval's JSON lines (task_id, prompt, canonical_solution); AssertionBench's designs
///   (file_name, verilog_design).
/// Errors: "FILE:LINE: ..." for a bad line, a missing field and a repeated id.
StatusOr<std::vector<Task>> read_tasks(const std::string& path);
/// The same from text; `name` stands for the file in errors.
StatusOr<std::vector<Task>> parse_tasks(const std::string& name, std::string_view text);

/// Adds AssertionBench's assertions, JSON lines {"DESIGN_miner": ["@(posedge clk) a |-> b;", ...]}, to tasks whose id is
/// DESIGN. Errors: as read_tasks.
Status add_mined_assertions(const std::string& path, std::vector<Task>& tasks);

/// Errors: "FILE:LINE: ..." for a bad line.
StatusOr<std::vector<AnswerLine>> read_answers(const std::string& path);
StatusOr<std::vector<AnswerLine>> parse_answers(const std::string& name, std::string_view text);
std::string write_answer(const AnswerLine& answer);

/// A module around a snippet that declares nothing: what it writes becomes outputs, what it reads inputs. Case
/// selectors get the width of their widest label, other signals 4 bits. A snippet that does not parse is put in as it is.
std::string wrap_snippet(const std::string& code, bool synchronous, const std::string& clock_text);

}  // namespace callie::assertions
