#include "assertions/prove/one_step.h"

#include <gtest/gtest.h>

#include "assertions/dataset/pair.h"
#include "assertions/generate/generate.h"
#include "assertions/syntax/parser.h"

namespace callie::assertions {
namespace {

// The fast decision and the general prover agree on generated assertions and their wrong variants.
TEST(OneStep, AgreesWithTheProver) {
  int proven = 0, refuted = 0;
  for (int index = 0; index < 60; ++index) {
    GenerateOptions options;
    options.seed = 11;
    std::optional<Pair> pair;
    for (int attempt = 0; !pair && attempt < 200; ++attempt) {
      auto candidate = generate_candidate(options, built_in_shapes(), index, attempt);
      ASSERT_TRUE(candidate.ok()) << candidate.status().message();
      pair = std::move(*candidate);
    }
    ASSERT_TRUE(pair.has_value());
    std::string text = pair->module.substr(0, pair->module.rfind("endmodule"));
    for (const Pair::AssertionInfo& a : pair->assertions) text += a.text + "\n";
    for (const Pair::Mutant& m : pair->mutants) {
      // The general prover leaves an assertion on the other edge alone.
      if (m.kind.starts_with("assertion:") && m.kind != "assertion:edge") text += m.text + "\n";
    }
    ProveOptions prove;
    prove.keep_witness = false;
    const auto report = prove_text("pair", text + "endmodule\n", prove);
    ASSERT_TRUE(report.ok()) << report.status().message();
    std::map<std::string, Verdict> verdicts;
    for (const AssertionResult& r : report->assertions) verdicts[r.name] = r.verdict;
    for (const Pair::AssertionInfo& a : pair->assertions) {
      EXPECT_EQ(name(verdicts[a.name]), "proven") << a.text << "\n" << text;
      ++proven;
    }
    for (const Pair::Mutant& m : pair->mutants) {
      if (!m.kind.starts_with("assertion:") || m.kind == "assertion:edge") continue;
      const size_t end = m.text.find(": assert");
      const size_t begin = m.text.find_last_of(" \n", end) + 1;
      const std::string label = m.text.substr(begin, end - begin);
      EXPECT_EQ(name(verdicts[label]), m.verdict == "refuted" ? "refuted" : "proven") << m.text << "\n" << text;
      ++refuted;
    }
  }
  EXPECT_GT(proven, 300);
  EXPECT_GT(refuted, 1000);
}

TEST(OneStep, LeavesUnboundedHistoryAlone) {
  SourceSet sources;
  const auto unit = parse_text(sources, "t", "module m(input clk, a, output logic [3:0] n = 0); always_ff @(posedge clk) n <= n + 1;"
                                             " x: assert property (@(posedge clk) n < 3); endmodule");
  ASSERT_TRUE(unit.ok());
  const auto results = decide_steps(sources, *unit);
  ASSERT_TRUE(results.ok());
  EXPECT_EQ((*results)[0].kind, StepResult::Kind::kUndecided);
  EXPECT_EQ((*results)[0].reason, "history without an end");
}

}  // namespace
}  // namespace callie::assertions
