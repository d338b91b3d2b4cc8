#include "assertions/mutate/decide.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "assertions/syntax/parser.h"
#include "core/interrupt.h"

namespace callie::assertions {
namespace {

constexpr const char* kDesign = R"(
module m(input logic clk, en, input logic [3:0] d, output logic [3:0] q);
  always_ff @(posedge clk) if (en) q <= d; else q <= 4'd0;
  a: assert property (@(posedge clk) en |=> q == $past(d));
  b: assert property (@(posedge clk) !en |=> q == 4'd0);
endmodule
)";

TEST(DecideMutants, WrongVariantsAreRefutedWithAWitnessAndNamed) {
  SourceSet sources;
  const auto unit = parse_text(sources, "m.sv", kDesign);
  ASSERT_TRUE(unit.ok()) << unit.status().message();
  const auto mutants = decide_mutants(sources, *unit, {});
  ASSERT_TRUE(mutants.ok()) << mutants.status().message();
  const auto count = [&](std::string_view head) {
    return std::count_if(mutants->begin(), mutants->end(), [&](const DecidedMutant& m) { return m.kind.starts_with(head); });
  };
  EXPECT_GE(count("assertion:"), 4);
  EXPECT_GE(count("design:"), 3);
  for (const DecidedMutant& m : *mutants) {
    EXPECT_TRUE(m.verdict != "refuted" || m.witness) << m.kind;
    EXPECT_TRUE(m.of == "a" || m.of == "b" || m.verdict == "not caught") << m.kind << " of " << m.of;
  }
  // Both arms are asserted, so swapping them cannot go unseen.
  const auto swapped = std::find_if(mutants->begin(), mutants->end(), [](const auto& m) { return m.kind == "design:swap-arms"; });
  ASSERT_NE(swapped, mutants->end());
  EXPECT_EQ(swapped->verdict, "refuted");
}

TEST(DecideMutants, AVacuousVariantIsNoEquivalentOne) {
  SourceSet sources;
  const auto unit = parse_text(sources, "m.sv", R"(
module m(input logic clk, a, output logic q = 0);
  always_ff @(posedge clk) q <= a && !a;
  x: assert property (@(posedge clk) !q |-> a || !q);
endmodule
)");
  ASSERT_TRUE(unit.ok()) << unit.status().message();
  MutateOptions options;
  options.designs = false;
  std::vector<int64_t> steps;
  options.progress = [&](int64_t done, int64_t) { steps.push_back(done); };
  const auto mutants = decide_mutants(sources, *unit, options);
  ASSERT_TRUE(mutants.ok()) << mutants.status().message();
  const auto vacuous = std::find_if(mutants->begin(), mutants->end(), [](const auto& m) { return m.verdict == "vacuous"; });
  ASSERT_NE(vacuous, mutants->end());
  EXPECT_EQ(vacuous->kind, "assertion:drop-negation");
  EXPECT_FALSE(steps.empty());
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
}

TEST(DecideMutants, StopsWhenTheUserAsksFor) {
  SourceSet sources;
  const auto unit = parse_text(sources, "m.sv", kDesign);
  install_interrupt_handler();
  std::raise(SIGINT);
  EXPECT_EQ(decide_mutants(sources, *unit, {}).status().code(), StatusCode::kCancelled);
  clear_interrupt();
}

TEST(DecideMutants, AnUnknownModuleIsAnError) {
  SourceSet sources;
  const auto unit = parse_text(sources, "m.sv", kDesign);
  MutateOptions options;
  options.prove.top = "other";
  EXPECT_EQ(decide_mutants(sources, *unit, options).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace callie::assertions
