#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "assertions/dataset/pair.h"
#include "assertions/generate/shapes.h"

/// The generator of code and assertion pairs. What it writes is derived by symbolic execution and then checked:
/// P1 every assertion is valid in all states; P2 its antecedent can be true and its consequent can be false; P3 the
/// path conditions of each target are disjoint and exhaustive; P4 every wrong variant of an assertion is refuted or
/// holds too; P5 the set catches every wrong variant of the design that differs; P6 the text parses to the same tree.
namespace callie::assertions {

struct GenerateOptions {
  int64_t count = 100;
  uint64_t seed = 1;
  bool vert_compat = false;     ///< one assertion for each branch
  int tier = 0;                 ///< 1..4; 0: all in turn
  bool train_test = false;      ///< every tenth pair is of the test split
  bool timings = false;         ///< write `proof[].ms`; output is then not reproducible
  int threads = 1;
  std::string shapes;           ///< a file that harvest wrote; empty: the built-in bank
  std::string output;
};

struct GenerateReport {
  int64_t pairs = 0, resumed = 0, candidates = 0, duplicates = 0;
  int64_t assertions = 0, assertion_mutants = 0, design_mutants = 0, equivalent = 0;
  double seconds = 0;
};

/// One candidate; nothing when the draw is of no use (too many paths, an assertion that is vacuous, a shape of the
/// other split). A function of its arguments only. Errors are bugs of the generator: an obligation that failed.
StatusOr<std::optional<Pair>> generate_candidate(const GenerateOptions& options, const ShapeBank& bank, int64_t index, int attempt);

/// Writes `count` pairs to `output`, in the order of their index whatever the number of threads. The file appears when
/// all are there; until then OUTPUT.part grows, and a run with the same options goes on where one was stopped.
/// Errors: kCancelled (interrupted), I/O.
StatusOr<GenerateReport> generate(const GenerateOptions& options, const std::function<void(int64_t)>& progress);

}  // namespace callie::assertions
