#include "assertions/mutate/decide.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "assertions/syntax/parser.h"

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

TEST(DecideMutants, AnUnknownModuleIsAnError) {
  SourceSet sources;
  const auto unit = parse_text(sources, "m.sv", kDesign);
  MutateOptions options;
  options.prove.top = "other";
  EXPECT_EQ(decide_mutants(sources, *unit, options).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace callie::assertions
