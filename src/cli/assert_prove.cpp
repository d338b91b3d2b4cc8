#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "assertions/prove/prove.h"
#include "assertions/prove/witness.h"
#include "assertions/syntax/parser.h"
#include "cli/assert_commands.h"
#include "cli/number_checks.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/json.h"
#include "core/progress.h"

namespace callie::cli {
namespace {

using namespace assertions;

struct Options {
  std::vector<std::string> files, include_dirs, defines;
  std::string top, witness_dir;
  bool json = false;
  ProveOptions prove;
};

/// `file` stands there only where several files were given.
Json to_json(const AssertionResult& r, bool with_file) {
  Json out;
  out["name"] = r.name;
  out["verdict"] = std::string(name(r.verdict));
  out["method"] = r.method.empty() ? Json(nullptr) : Json(r.method);
  out["depth"] = r.method.empty() ? Json(nullptr) : Json(r.depth);
  out["reason"] = r.reason.empty() ? Json(nullptr) : Json(r.reason);
  out["witness"] = nullptr;
  if (r.witness) out["witness"] = witness_json(*r.witness);
  if (with_file) out["file"] = r.place.file;
  out["line"] = r.place.line;
  out["column"] = r.place.column;
  return out;
}

void print_text(const ProveReport& report) {
  std::map<Verdict, int> counts;
  std::set<std::string> free_registers;
  for (const AssertionResult& r : report.assertions) {
    ++counts[r.verdict];
    std::printf("%-12s %s", std::string(name(r.verdict)).c_str(), r.name.c_str());
    if (r.verdict == Verdict::kProven) std::printf("  (%s, depth %d)", r.method.c_str(), r.depth);
    if (r.verdict == Verdict::kRefuted) std::printf("  (fails in cycle %d)", r.depth);
    if (!r.reason.empty()) std::printf("  %s%s", r.verdict == Verdict::kUnsupported ? "not in the subset: " : "", r.reason.c_str());
    std::printf("  %s:%d:%d\n", r.place.file.c_str(), r.place.line, r.place.column);
    if (!r.witness) continue;
    std::fputs(witness_table(*r.witness).c_str(), stdout);
    for (const Witness::Signal& signal : r.witness->signals) {
      if (signal.starts_freely) free_registers.insert(signal.name.substr(0, signal.name.find('[')));
    }
  }
  std::string summary;
  for (const auto& [verdict, count] : counts) summary += fmt::format("{}{} {}", summary.empty() ? "" : ", ", count, name(verdict));
  std::printf("%zu assertion%s: %s\n", report.assertions.size(), report.assertions.size() == 1 ? "" : "s", summary.empty() ? "nothing to prove" : summary.c_str());
  if (free_registers.empty()) return;
  std::printf("note: runs start with any value of registers without an initial value (%s); an assumption restricts them\n",
              fmt::format("{}", fmt::join(free_registers, ", ")).c_str());
}

std::string file_name(const std::string& assertion) {
  std::string out = assertion;
  for (char& c : out) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-') c = '_';
  }
  return out;
}

Status run(const Options& options) {
  SourceSet sources;
  PreprocessOptions preprocess;
  preprocess.include_dirs = options.include_dirs;
  for (const std::string& define : options.defines) {
    const size_t equals = define.find('=');
    preprocess.defines[define.substr(0, equals)] = equals == std::string::npos ? "1" : define.substr(equals + 1);
  }
  CALLIE_ASSIGN_OR_RETURN(const ast::Unit unit, parse_files(sources, options.files, preprocess));
  ProveOptions prove_options = options.prove;
  prove_options.top = options.top;
  install_interrupt_handler();
  Progress progress("proving", 0, "assertions", 1, options.json);
  prove_options.progress = [&](int64_t done, int64_t total) {
    progress.set_total(total);
    progress.update(done);
  };
  CALLIE_ASSIGN_OR_RETURN(const ProveReport report, prove(sources, unit, prove_options));
  if (!options.witness_dir.empty()) {
    for (const AssertionResult& r : report.assertions) {
      if (!r.witness) continue;
      const std::string base = options.witness_dir + "/" + file_name(r.name);
      CALLIE_RETURN_IF_ERROR(write_text_file(base + ".vcd", witness_vcd(*r.witness, report.top)));
      CALLIE_RETURN_IF_ERROR(write_text_file(base + "_tb.sv", witness_testbench(*r.witness, report.top, report.clock)));
    }
  }
  if (options.json) {
    Json out;
    out["assertions"] = Json::array();
    for (const AssertionResult& r : report.assertions) out["assertions"].push_back(to_json(r, options.files.size() > 1));
    std::printf("%s\n", out.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    print_text(report);
  }
  return ok_status();
}

}  // namespace

void add_assert_prove(CLI::App& verb, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = verb.add_subcommand("prove", "Prove or refute every assertion of a design");
  command->add_option("FILE", options->files, "SystemVerilog files")->required();
  command->add_option("--top", options->top, "The top module (default: what no other module instantiates)");
  command->add_option("-I", options->include_dirs, "A folder to look for `include files");
  command->add_option("-D", options->defines, "NAME or NAME=TEXT: a macro");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--max-depth", options->prove.max_bmc_depth, "Cycles to search for counterexamples")
      ->capture_default_str()->check(CLI::Range(0, 100000));
  command->add_option("--time-limit", options->prove.time_limit_s, "Seconds for each assertion")
      ->capture_default_str()->check(positive_number());
  command->add_option("--witness-dir", options->witness_dir, "Write each counterexample there: .vcd and a Verilator test bench");
  command->footer("Example: callie assert prove fifo.sv --top fifo --json");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
