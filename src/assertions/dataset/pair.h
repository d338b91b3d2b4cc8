#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/status.h"

/// One line of an assertion data set: a piece of code with the assertions that hold on it, what proves them, and the
/// wrong variants that were refuted. A superset of VERT's record (arXiv 2503.08923): `Code`, `Assertion`,
/// `Synchronous` and `Clock` have VERT's names and types.
namespace callie::assertions {

struct Pair {
  struct Construct {
    std::string kind;        ///< "if", "case", "casez", "fsm", "handshake", "multi-cycle"
    int depth = 0;           ///< nesting of if and case
    int arms = 0;            ///< branches in all
    bool has_else = false;   ///< every if has one
    bool has_default = false;
    std::string reset;       ///< "none", "sync", "async"
    std::string unique;      ///< "none", "unique", "unique0", "priority"
  };
  struct Signal {
    std::string name;
    int width = 1;
    bool is_signed = false;
    std::string dir;                    ///< "input", "output", "internal"
    std::vector<std::string> members;   ///< names of an enumeration in the order of their values; else empty
  };
  struct ClockInfo {
    std::string name, edge;             ///< "posedge", "negedge"
  };
  struct ResetInfo {
    std::string name;
    int level = 0;                      ///< the value that resets
    bool async = false;
  };
  struct AssertionInfo {
    std::string name;
    std::string text;                   ///< a complete statement: compiles raw before the module's last `endmodule`
    std::string form;                   ///< "|->", "|=>", "immediate", "property"
    std::string antecedent, consequent; ///< antecedent may be empty
    std::string target;                 ///< the signal it speaks of
    int path = -1;                      ///< index of the path through the code; -1: not of one path
  };
  struct Proof {
    std::string obligation;             ///< "P1" ... "P6"
    std::string engine, verdict;
    std::optional<double> ms;           ///< only when timings were asked for: they differ from run to run
  };
  struct Mutant {
    std::string kind;                   ///< "assertion:drop-negation", "design:swap-arms", ...
    std::string of;                     ///< name of the assertion, or of the one that catches the design mutant
    std::string text;                   ///< the wrong assertion, or the whole wrong module
    std::string verdict;                ///< "refuted" or "equivalent"
    Json witness;                       ///< {"cycles": [{signal: value}]} as of `prove --json`; null if equivalent
  };
  struct Hash {
    std::string exact, alpha, shape;    ///< 16 hexadecimal digits
  };
  struct Source {
    std::string repo, commit, path, lines, spdx;
  };

  std::string code, assertion;
  bool synchronous = false;
  std::string clock_text;               ///< VERT's `Clock`: "posedge NAME"; empty when not synchronous
  std::string id;
  int schema = 1;
  uint64_t seed = 0;
  std::string split;                    ///< "train", "test"; empty: no split
  int tier = 0;
  Construct construct;
  std::string module;
  std::vector<Signal> signals;
  std::optional<ClockInfo> clock;
  std::optional<ResetInfo> reset;
  std::vector<AssertionInfo> assertions;
  std::string lowered;
  std::vector<Proof> proof;
  std::vector<Mutant> mutants;
  Hash hash;
  std::optional<Source> source;
  int chars = 0;                        ///< of code and assertion
  int tokens = 0;                       ///< SystemVerilog tokens of code and assertion
};

/// The record with every key, `null` where it does not apply, and the chat (`messages`) and completion (`prompt`,
/// `completion`) views.
Json to_json(const Pair& pair);
/// One line without its end.
std::string write_pair(const Pair& pair);

/// Keys may be missing or null and unknown keys are ignored (published sets have other ones), but what is there must
/// have its type. Errors: kDataLoss naming the key.
StatusOr<Pair> pair_from_json(const Json& json);
/// Parses one line. Errors: kDataLoss.
StatusOr<Pair> read_pair(std::string_view line);

/// VERT's request for a snippet; `clock_text` as in Pair.
std::string vert_instruction(const std::string& code, bool synchronous, const std::string& clock_text);
/// The instruction in the frame that VERT's models were tuned with; what follows it is the answer.
std::string vert_prompt(const std::string& instruction);

}  // namespace callie::assertions
