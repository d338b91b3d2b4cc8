#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assertions/syntax/ast.h"
#include "core/status.h"

/// The prover: elaborates one module of a parsed unit and decides each of its assertions in process.
/// Semantics are two-state; docs/assertions.md states them.
namespace callie::assertions {

enum class Verdict : uint8_t { kProven, kRefuted, kVacuous, kUndetermined, kUnsupported };
/// "proven", "refuted", "vacuous", "undetermined", "unsupported".
std::string_view name(Verdict verdict);

/// The value of a signal in one cycle, least significant bit first.
using BitString = std::vector<bool>;

/// What a run that refutes an assertion looks like: all inputs and registers of the design, and the other signals of the
/// top module, as they are just before each clock edge, first cycle first, the failing cycle last.
struct Witness {
  enum class Kind { kInput, kRegister, kOther };
  struct Signal {
    std::string name;   ///< hierarchical below the top module; elements of unpacked arrays are "mem[3]"
    int width = 1;
    Kind kind = Kind::kOther;
    bool starts_freely = false;  ///< a register without an initial value
  };
  std::vector<Signal> signals;
  std::vector<std::vector<BitString>> cycles;  ///< [cycle][signal]
};

struct AssertionResult {
  std::string name;         ///< hierarchical label, or "assert_LINE" without one
  Verdict verdict = Verdict::kUndetermined;
  std::string method;       ///< "constant", "bmc", "k-induction", "pdr", "simulation"
  int depth = 0;            ///< proven: k or the PDR frame; refuted: cycles of the witness minus one
  std::string reason;       ///< undetermined, unsupported
  StatusCode reason_code = StatusCode::kUnimplemented;  ///< unsupported: kInvalidArgument where a name or expression is wrong
  std::optional<Witness> witness;
  Span span;                ///< of the assertion; of the construct when unsupported
  Place place;              ///< the same as file, line and column
  double ms = 0;
};

struct ProveOptions {
  std::string top;                              ///< empty: the module that no other instantiates
  std::map<std::string, std::string> parameters;///< overrides of the top module, as expressions
  int max_bmc_depth = 200;                      ///< cycles unrolled for counterexamples
  int max_induction = 12;                       ///< largest k
  bool use_pdr = true;
  bool any_state = false;   ///< ignore initial values: prove from every state (and cycle 0 counts as any cycle)
  bool check_vacuity = true;
  double time_limit_s = 60; ///< for each assertion; then undetermined
  bool keep_witness = true;
  /// A failure counts only when the assumptions hold for this many cycles after it too: an assumption may notice later
  /// than the assertion that a run is bad.
  int settle_cycles = 0;
  std::function<void(int64_t done, int64_t total)> progress;  ///< assertions of the current top module
};

struct ProveReport {
  std::string top;
  std::string clock;        ///< "posedge clk" of the assertions' clock where there is exactly one
  std::vector<AssertionResult> assertions;
};

/// Proves every assertion of the top module and of what it instantiates. `sources` holds the texts of `unit`.
/// Several top modules are proved one after the other; names then start with the module's.
/// Errors: what cannot be elaborated (unknown names, missing modules, combinational loops, constructs of the design
/// outside of the subset), as "FILE:LINE:COL: ..." with a caret; kCancelled. An unsupported assertion is a verdict.
/// `problem` receives the place and text of such an error.
/// Thread-safe as long as no other thread adds to `sources`.
StatusOr<ProveReport> prove(const SourceSet& sources, const ast::Unit& unit, const ProveOptions& options = {},
                            SourceError* problem = nullptr);

/// parse_text and prove in one call, for small texts.
StatusOr<ProveReport> prove_text(std::string name, std::string text, const ProveOptions& options = {});

}  // namespace callie::assertions
